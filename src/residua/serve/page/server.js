// What the page asks the server. No other file of the page knows an address or the form of a response.

export const MOST_BYTES = 8 * 1024 * 1024 // of a body, as limits.py says
const TOPK = 10
const SECONDS = 3 // before the next attempt, where the server names none

/** The server is busy, or about to stop: ask again after some seconds. */
export class Busy extends Error {
  constructor(seconds) {
    super('the server is busy')
    this.seconds = seconds
  }
}

/** No prediction came; `again` tells whether a second attempt may succeed. */
export class Refused extends Error {
  constructor(message, again = false) {
    super(message)
    this.again = again
  }
}

/** The network behind the page: its name, classes, engine, the pixels it reads, and whether it has Grad-CAM. */
export async function describe() {
  const { models: [name] } = await json('v2')
  const { parameters } = await json(`v2/models/${name}`)
  const { size, colour, task } = parameters
  const unit = { rgb: 'in colour', grey: 'in grey', bands: 'in bands' }[colour]
  return { ...parameters, name, reads: `${size} × ${size} ${unit}${task === 'clips' ? ', clips' : ''}` }
}

/**
 * Predict one image.
 *
 * Returns {classes: [{name, share}], boxes, ms: {queue, decode, infer, here}, cam: {url, box} or null}: classes with
 * the likeliest first, times in milliseconds, `here` measured by the page.
 */
export async function predict(image, { cam = false, signal } = {}) {
  const started = performance.now()
  const headers = { 'content-type': image.type || 'application/octet-stream' }
  const address = `predict?topk=${TOPK}${cam ? '&cam=1' : ''}`
  const response = await fetch(address, { method: 'POST', body: image, headers, signal }).catch((error) => {
    if (error.name === 'AbortError') throw error
    throw new Refused('The server did not respond.', true)
  })
  if (response.status === 429 || response.status === 503) throw new Busy(Number(response.headers.get('retry-after')) || SECONDS)
  const document = await response.json().catch(() => ({}))
  if (!response.ok) throw new Refused(sentence(document.error ?? `status ${response.status}`), response.status >= 500)
  const [prediction] = document.predictions
  return {
    classes: prediction.classes.map((row) => ({ name: row.class, share: row.probability })),
    ms: { ...document.ms, here: performance.now() - started },
    cam: prediction.cam ? { url: prediction.cam, box: prediction.cam_box } : null,
  }
}

async function json(address) {
  const response = await fetch(address)
  if (!response.ok) throw new Refused(`status ${response.status}`, true)
  return response.json()
}

function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}
