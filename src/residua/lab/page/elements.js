// Small makers of elements, and how numbers and times are written. Text is always text, never markup.

/** An element with properties and children: h('button', { type: 'button', onclick }, 'Stop'). */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value)
    else if (key in element && !key.includes('-') && key !== 'list') element[key] = value
    else element.setAttribute(key, value === true ? '' : value)
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined))
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

/** A number with few digits: 12.345 becomes 12.35, 0.00012345 becomes 0.0001234, 123456 becomes 123,456. */
export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return ''
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size >= 1e7 || size < 1e-4) return value.toExponential(2)
  if (size >= 100) return value.toLocaleString('en', { maximumFractionDigits: size >= 1000 ? 0 : 1 })
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
  return h('p', { className: 'problem', role: 'alert' }, error.message)
}
