// What the page asks the server. No other file of the page knows an address or the form of a response.

const TOPK = 10
const LEAST_SCORE = 0.5 // of a box that is shown
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

/** The network behind the page: {model, task, classes, reads, engine, cam, max_bytes}. */
export async function describe() {
  const response = await fetch('model')
  if (!response.ok) throw new Refused(`status ${response.status}`, true)
  return response.json()
}

/**
 * Predict one image.
 *
 * Returns {classes: [{name, share, box}], ms: {queue, decode, infer, here}, cam: {url, box} or null}: the likeliest class
 * first, times in milliseconds, `here` measured by the page. Each class of a detector has a `box` in the image: left, top,
 * right and bottom as shares of its sides.
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
    classes: prediction.boxes ? boxesOf(prediction) : prediction.classes.map((row) => ({ name: row.class, share: row.probability })),
    ms: { ...document.ms, here: performance.now() - started },
    cam: prediction.cam ? { url: prediction.cam, box: prediction.cam_box } : null,
  }
}

/** Boxes that are worth drawing; edges become shares of the sides of the image. */
function boxesOf({ boxes, size: [width, height] }) {
  return boxes.filter((box) => box.score >= LEAST_SCORE).map(({ class: name, score, box: [left, top, right, bottom] }) => (
    { name, share: score, box: [left / width, top / height, right / width, bottom / height] }
  ))
}

function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}
