// How the page asks the server: JSON, binary curves, actions with the token, events. No other file calls fetch.

const TOKEN = document.querySelector('meta[name="token"]')?.content ?? ''

/** Whether the server takes actions. */
export const canAct = TOKEN !== ''

/** The server refused, or did not respond; the message is for people. */
export class Refused extends Error {}

/** A query such as `run=a&run=b&axis=step`; null, undefined and empty values are left out. */
export function query(values) {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(values)) {
    for (const one of [value].flat()) if (one !== null && one !== undefined && one !== '') search.append(name, one)
  }
  return search.toString()
}

/** The address of a view, such as `#/curves?run=a&run=b`. */
export function address(view, values = {}) {
  const search = query(values)
  return search ? `#/${view}?${search}` : `#/${view}`
}

/** Keep what a view shows in the address of the page. */
export function remember(view, values) {
  history.replaceState(null, '', address(view, values))
}

/** GET as JSON. */
export async function get(path, values = {}, { signal } = {}) {
  return (await request(path, values, { signal })).json()
}

/** GET as bytes. */
export async function getBytes(path, values = {}, { signal } = {}) {
  return (await request(path, values, { signal })).arrayBuffer()
}

/** POST an action, with the token; the response as JSON. */
export async function act(path, body = {}, values = {}) {
  const headers = { 'content-type': 'application/json', 'x-residua-token': TOKEN }
  return (await request(path, values, { method: 'POST', headers, body: JSON.stringify(body) })).json()
}

/** POST bytes, such as an image, with the token; the response as JSON. */
export async function actWith(path, bytes, values = {}) {
  const headers = { 'content-type': 'application/octet-stream', 'x-residua-token': TOKEN }
  return (await request(path, values, { method: 'POST', headers, body: bytes })).json()
}

async function request(path, values, options) {
  const search = query(values)
  const response = await fetch(search ? `${path}?${search}` : path, options).catch((error) => {
    if (error.name === 'AbortError') throw error
    throw new Refused('The server did not respond.')
  })
  if (response.ok) return response
  const { error } = await response.json().catch(() => ({}))
  const text = error ?? `status ${response.status}`
  throw new Refused(`${text.charAt(0).toUpperCase()}${text.slice(1)}.`)
}

const listeners = new Map()
let source = null

/** Call `listener` with the value of each event of that name; returns a function that ends it. */
export function on(name, listener) {
  const all = listeners.get(name) ?? new Set()
  listeners.set(name, all.add(listener))
  return () => all.delete(listener)
}

function emit(name, value) {
  for (const listener of listeners.get(name) ?? []) listener(value)
}

/** Receive events while the page is visible; hidden tabs leave their connection to others. */
export function receive() {
  const connect = () => {
    if (document.hidden) {
      source?.close()
      source = null
    } else if (!source) {
      source = new EventSource('api/events')
      source.onopen = () => emit('open')
      source.onerror = () => emit('closed')
      for (const name of ['runs', 'notes', 'job', 'reload']) {
        source.addEventListener(name, (event) => emit(name, JSON.parse(event.data)))
      }
    }
  }
  document.addEventListener('visibilitychange', connect)
  connect()
}
