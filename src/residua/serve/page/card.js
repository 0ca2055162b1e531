// One image and its prediction.

const SHORT = 3 // classes below the likeliest one
export const NOTHING = 'nothing detected'
const STAGES = [['queue', 'queue'], ['decode', 'decode'], ['infer', 'network']]

export const percent = (share) => `${(100 * share).toFixed(share > 0.9995 || share < 0.0005 ? 0 : 1)} %`
const milliseconds = (ms) => (ms < 10 ? ms.toFixed(1) : Math.round(ms).toLocaleString('en'))

export class Card {
  /** `explain(card)` asks for the Grad-CAM, `again(card)` sends the image once more. */
  constructor(item, { explain, again, cam }) {
    this.item = item
    this.hasCam = cam
    this.element = document.getElementById('card').content.firstElementChild.cloneNode(true)
    this.part('.file').textContent = item.name
    this.part('.where').addEventListener('click', () => explain(this))
    this.part('.again').addEventListener('click', () => again(this))
    this.part('.rest').addEventListener('click', () => this.#toggleRest())
    this.part('input').addEventListener('input', (event) => this.#fade(event.target.value))
    this.#show(item)
  }

  part(selector) {
    return this.element.querySelector(selector)
  }

  /** Let go of the image's memory. */
  close() {
    URL.revokeObjectURL(this.part('.photo').src)
  }

  pending() {
    this.element.className = 'card pending'
    this.part('.problem').hidden = true
    this.part('.again').hidden = true
  }

  predicted({ classes, ms, cam }) {
    this.element.className = 'card'
    const [best, ...others] = classes
    this.part('.best').textContent = best?.name ?? NOTHING
    this.part('.top .share').textContent = best ? percent(best.share) : ''
    this.part('.top .length').style.setProperty('--share', best?.share ?? 0)
    this.part('.boxes').replaceChildren(...classes.filter((one) => one.box).map(frame))
    const bars = this.part('.bars')
    bars.replaceChildren(...others.map(bar))
    ;[...bars.children].slice(SHORT).forEach((row) => { row.hidden = true })
    const rest = this.part('.rest')
    rest.hidden = others.length <= SHORT
    rest.textContent = `${others.length - SHORT} more`
    rest.setAttribute('aria-expanded', 'false')
    this.part('.where').hidden = !this.hasCam || Boolean(cam)
    if (cam) this.#overlay(cam)
    this.#times(ms)
  }

  refused(error) {
    this.element.className = 'card refused'
    const problem = this.part('.problem')
    problem.textContent = error.message
    problem.hidden = false
    this.part('.again').hidden = !error.again
  }

  /** Say what was done to the image before it was sent. */
  note(text) {
    this.part('.note').textContent = text
    this.part('.note').hidden = !text
  }

  #show({ file, name }) {
    if (file.type.startsWith('video/')) {
      this.#play(file, name)
      return
    }
    const photo = this.part('.photo')
    photo.alt = `The image ${name}`
    photo.addEventListener('load', () => this.part('.picture').style.setProperty('--ratio', photo.naturalWidth / photo.naturalHeight))
    photo.addEventListener('error', () => this.part('.frame').classList.add('unshown'))
    photo.src = URL.createObjectURL(file)
  }

  #play(file, name) {
    const video = Object.assign(document.createElement('video'), { className: 'photo', controls: true, muted: true, playsInline: true })
    video.setAttribute('aria-label', `The video ${name}`)
    video.addEventListener('loadedmetadata', () => this.part('.picture').style.setProperty('--ratio', video.videoWidth / video.videoHeight || 1))
    video.addEventListener('error', () => this.part('.frame').classList.add('unshown'))
    this.part('.photo').replaceWith(video)
    video.src = URL.createObjectURL(file)
  }

  /** Lay the Grad-CAM over the part of the image that the network reads: `box` holds shares of its sides. */
  #overlay({ url, box }) {
    const overlay = this.part('.cam')
    place(overlay, box)
    overlay.src = url
    overlay.alt = 'Grad-CAM: the regions that speak for the class'
    overlay.hidden = false
    this.part('.opacity').hidden = false
    this.#fade(this.part('input').value)
  }

  #fade(value) {
    this.part('.cam').style.opacity = value / 100
    this.part('input').setAttribute('aria-valuetext', `${value} %`)
  }

  #toggleRest() {
    const rest = this.part('.rest')
    const isOpen = rest.getAttribute('aria-expanded') === 'true'
    const rows = [...this.part('.bars').children].slice(SHORT)
    rows.forEach((row) => { row.hidden = isOpen })
    rest.setAttribute('aria-expanded', String(!isOpen))
    rest.textContent = isOpen ? `${rows.length} more` : 'Fewer'
  }

  #times(ms) {
    const known = STAGES.filter(([stage]) => ms[stage] >= 0).map(([stage, word]) => ({ stage, word, ms: ms[stage] }))
    const total = known.reduce((sum, one) => sum + one.ms, 0) || 1
    this.part('.stages').replaceChildren(...known.map((one) => {
      const part = document.createElement('span')
      part.className = one.stage
      part.style.flexGrow = one.ms / total
      return part
    }))
    this.part('.times p').replaceChildren(...known.map((one) => {
      const part = document.createElement('span')
      part.className = one.stage
      part.textContent = `${one.word} ${milliseconds(one.ms)}`
      return part
    }), `${milliseconds(ms.here)} ms in all`)
    this.part('.times').hidden = false
  }
}

function place(element, [left, top, right, bottom]) {
  const edges = { left, top, width: right - left, height: bottom - top }
  for (const [edge, share] of Object.entries(edges)) element.style[edge] = `${100 * share}%`
}

function frame({ name, box }) {
  const element = document.createElement('span')
  element.dataset.name = name
  place(element, box)
  return element
}

function bar({ name, share }) {
  const row = document.createElement('li')
  const parts = ['name', 'share', 'length'].map((part) => Object.assign(document.createElement('span'), { className: part }))
  parts[0].textContent = name
  parts[1].textContent = percent(share)
  parts[2].style.setProperty('--share', share)
  row.append(...parts)
  return row
}
