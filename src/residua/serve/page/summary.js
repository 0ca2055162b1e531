// The table of all images, how many there are of each class, and both as a CSV file.

import { NOTHING, percent } from './card.js'

const CLASSES = 8
const FORMULA = /^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/ // what a spreadsheet takes for a formula, as data/table_cells.py says
const section = document.getElementById('summary')
const rows = document.getElementById('rows')
const collator = new Intl.Collator(undefined, { numeric: true })
const outcomes = new Map() // image -> {classes, ms} or {error}
let order = { key: '', descending: false }

export function listen() {
  document.getElementById('csv').addEventListener('click', download)
  for (const button of section.querySelectorAll('th button')) {
    button.addEventListener('click', () => {
      const { key } = button.dataset
      order = { key, descending: order.key === key ? !order.descending : key === 'share' || key === 'ms' }
      draw()
    })
  }
}

/** Keep what came of an image: `{classes, ms}` or `{error}`. */
export function keep(item, outcome) {
  outcomes.set(item, outcome)
}

export function forget() {
  outcomes.clear()
  draw()
}

/** How many images were predicted, and how many refused. */
export function counts() {
  const refused = [...outcomes.values()].filter((outcome) => outcome.error).length
  return { predicted: outcomes.size - refused, refused }
}

/** Draw the table anew; it is shown from two images on. */
export function draw() {
  section.hidden = outcomes.size < 2
  if (section.hidden) return
  drawTally()
  for (const button of section.querySelectorAll('th button')) {
    const isKey = button.dataset.key === order.key
    button.parentElement.setAttribute('aria-sort', !isKey ? 'none' : order.descending ? 'descending' : 'ascending')
  }
  rows.replaceChildren(...sorted().map(([item, outcome]) => row(item, outcome)))
}

const VALUES = {
  name: (item) => item.name,
  best: (item, outcome) => outcome.classes && (outcome.classes[0]?.name ?? NOTHING),
  share: (item, outcome) => outcome.classes?.[0]?.share,
  ms: (item, outcome) => outcome.ms?.here,
}

function sorted() {
  const list = [...outcomes]
  if (!order.key) return list
  const value = VALUES[order.key]
  const sign = order.descending ? -1 : 1
  return list.sort(([a, x], [b, y]) => {
    const one = value(a, x)
    const two = value(b, y)
    if (one === undefined || two === undefined) return (one === undefined) - (two === undefined) // refused ones last
    return sign * (typeof one === 'string' ? collator.compare(one, two) : one - two)
  })
}

function row(item, outcome) {
  const line = document.createElement('tr')
  const name = document.createElement('th')
  name.scope = 'row'
  name.textContent = item.name
  line.append(name)
  if (outcome.error) {
    line.className = 'refused'
    line.append(Object.assign(document.createElement('td'), { colSpan: 3, textContent: outcome.error }))
    return line
  }
  const [best] = outcome.classes
  for (const [text, kind] of [[best?.name ?? NOTHING, ''], [best ? percent(best.share) : '', 'numeric'], [`${Math.round(outcome.ms.here)} ms`, 'numeric']]) {
    line.append(Object.assign(document.createElement('td'), { textContent: text, className: kind }))
  }
  return line
}

function drawTally() {
  const tally = new Map()
  for (const { classes } of outcomes.values()) {
    const name = classes && (classes[0]?.name ?? NOTHING)
    if (name) tally.set(name, (tally.get(name) ?? 0) + 1)
  }
  const ranked = [...tally].sort((a, b) => b[1] - a[1])
  const others = ranked.slice(CLASSES)
  const shown = ranked.slice(0, CLASSES)
  if (others.length) shown.push([`${others.length} other classes`, others.reduce((sum, [, count]) => sum + count, 0)])
  const most = Math.max(...shown.map(([, count]) => count))
  document.getElementById('tally').replaceChildren(...shown.map(([name, count]) => {
    const line = document.createElement('li')
    const parts = ['name', 'length', 'share'].map((part) => Object.assign(document.createElement('span'), { className: part }))
    parts[0].textContent = name
    parts[1].style.setProperty('--share', count / most)
    parts[2].textContent = count
    line.append(...parts)
    return line
  }))
}

function download() {
  const most = Math.max(1, ...[...outcomes.values()].map((outcome) => outcome.classes?.length ?? 0))
  const places = Array.from({ length: most }, (_, place) => place + 1)
  const head = ['image', 'error', ...places.flatMap((place) => [`class_${place}`, `probability_${place}`])]
  const lines = [...outcomes].map(([item, outcome]) => [
    item.name, outcome.error ?? '', ...(outcome.classes ?? []).flatMap(({ name, share }) => [name, share]),
  ])
  const text = [head, ...lines].map((line) => line.map(cell).join(',')).join('\r\n')
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text, '\r\n'], { type: 'text/csv' }))
  link.download = 'predictions.csv'
  link.click()
  URL.revokeObjectURL(link.href)
}

function cell(value) {
  if (typeof value === 'number') return String(value)
  const text = FORMULA.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
