// Small makers of elements, and how numbers and times are written. Text is always text, never markup.

/**
 * An element: h('button.primary#save', { onclick }, 'Save'). Classes and id are part of its name, properties may be left
 * out, and what is null or undefined is no child. A button does not submit.
 */
export function h(selector, ...children) {
  const [, name, classes, id] = /^(\w+)((?:\.[\w-]+)*)(?:#([\w-]+))?$/.exec(selector)
  const element = document.createElement(name)
  if (classes) element.className = classes.slice(1).replaceAll('.', ' ')
  if (id) element.id = id
  if (name === 'button') element.type = 'button'
  const properties = children[0]?.constructor === Object ? children.shift() : {}
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value)
    else if (key in element && !key.includes('-') && key !== 'list') element[key] = value
    else element.setAttribute(key, value === true ? '' : value)
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined))
  return element
}

/** An SVG element with attributes. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  element.append(...children)
  return element
}

/** A name whose lines may break after `/`, `-` and `_`. */
export function breakable(name) {
  return name.split(/(?<=[/_-])(?=.)/).flatMap((part, place) => (place ? [document.createElement('wbr'), part] : [part]))
}

/** Tell a screen reader. */
export function announce(text) {
  document.getElementById('live').textContent = text
}

const [WHOLE, TENTHS] = [0, 1].map((digits) => new Intl.NumberFormat('en', { maximumFractionDigits: digits }))

/** A number with few digits: 12.345 becomes 12.35, 0.00012345 becomes 0.0001234, 123456 becomes 123,456. */
export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return ''
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size >= 1e7 || size < 1e-4) return value.toExponential(2)
  if (size >= 100) return (size >= 1000 ? WHOLE : TENTHS).format(value)
  return String(Number(value.toPrecision(4)))
}

/** 42 s, 3 min, 2 h 10 min, 3 d 4 h. */
export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 90) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return hours < 36 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** How long ago a time in seconds since 1970 was. */
export function ago(seconds) {
  return seconds ? `${duration(Math.max(0, Date.now() / 1000 - seconds)).split(' ').slice(0, 2).join(' ')} ago` : ''
}

/** What a metric is called in front of people. */
export function metricName(metric) {
  const name = metric.replace('map50', 'mAP@.5').replaceAll('_', ' ')
  return name.startsWith('ema ') ? `${name.slice(4)} (averaged weights)` : name
}

/** The error of an action, shown where it happened. */
export function problem(error) {
  return h('p.problem', { role: 'alert' }, error.message)
}

/** Do something; its error is shown in `place`, unless it was aborted. */
export async function attempt(place, action) {
  try {
    return await action()
  } catch (error) {
    if (error.name !== 'AbortError') place.replaceChildren(problem(error))
  }
}

/** What is going on, in a line. */
export function status(text) {
  return h('p.quiet', { role: 'status' }, text)
}

/** A box with a heading. */
export function box(title, ...children) {
  return fill(h('section.box'), title, ...children)
}

/** Give a box its heading and content. */
export function fill(section, title, ...children) {
  section.hidden = false
  section.setAttribute('aria-label', title)
  section.replaceChildren(h('h2', title), ...children.flat().filter((child) => child))
  return section
}

/** What scrolls inside of its frame, by keyboard, too. */
export function frame(kind, label, child) {
  return h(`div.${kind}`, { role: 'region', 'aria-label': label, tabIndex: 0 }, child)
}

/** A table. `rows` are lists of cells, of which the first names the row; `numeric` are the columns of numbers. */
export function table(label, head, rows, numeric = []) {
  const name = (place) => (numeric.includes(place) ? 'numeric' : '')
  const cell = (content, place) => (content?.tagName === 'TD' ? content : place ? h('td', { className: name(place) }, content) : h('th', { scope: 'row' }, content))
  return frame('table', label, h('table',
    h('thead', h('tr', head.map((text, place) => h('th', { scope: 'col', className: name(place) }, text)))),
    h('tbody', rows.map((row) => h('tr', row.map(cell))))))
}

/** A choice among texts, or pairs of value and text; `chose` is called with the value. */
export function select(options, chosen, chose, properties = {}) {
  const one = (option) => {
    const [value, text] = [option].flat()
    return h('option', { value, selected: value === chosen }, text ?? value)
  }
  return h('select', { ...properties, onchange: (event) => chose?.(event.target.value) }, options.map(one))
}

/** Names in the order of people: run-2 before run-10. */
export function byName(one, other) {
  return one.localeCompare(other, 'en', { numeric: true })
}
