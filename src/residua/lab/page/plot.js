// A plot with uPlot: many lines on one axis; zoom by mouse, finger and keys; colours of the page.

import { announce, h, short } from './elements.js'

const HEIGHT = 420
const NARROW = 640
const WHOLE = Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat() // steps of axes that count

/** A plot in a frame. */
export class Plot {
  /**
   * `zoom(low, high)` is called when a part of the axis is chosen, with null for all of it; `point(text)` with what is
   * below the cursor.
   */
  constructor(frame, { zoom, point }) {
    this.frame = frame
    this.zoom = zoom
    this.point = point
    this.surface = h('div.surface', { tabIndex: 0, role: 'application', onkeydown: (event) => this.pressed(event) })
    frame.append(this.surface)
    this.chart = null
    this.content = null
    this.at = null
    this.line = 0
    this.watcher = new ResizeObserver(() => this.resize())
    this.watcher.observe(frame)
    this.scheme = matchMedia('(prefers-color-scheme: dark)')
    this.recolour = () => this.build()
    this.scheme.addEventListener('change', this.recolour)
  }

  /** Pixel columns that the server samples for. */
  get pixels() {
    return Math.round(Math.min(4096, Math.max(200, this.width - 70) * Math.min(2, devicePixelRatio)))
  }

  get width() {
    return Math.max(240, this.frame.clientWidth - 16)
  }

  get height() {
    return this.width < NARROW ? 300 : HEIGHT
  }

  /** Draw lines: {x, lines: [{y, name, label, colour, dash, width, alpha, part}], low, high, log, logY, axis, label, title}. */
  draw(content) {
    this.content = content
    const shape = JSON.stringify([content.lines.map(({ label, part, colour, width, alpha, dash }) => [label, part, colour, width, alpha, dash]), content.log, content.logY, content.axis, content.label])
    if (this.chart && shape === this.shape) this.fill()
    else this.build()
    this.shape = shape
    this.frame.dataset.drawn = String(Number(this.frame.dataset.drawn ?? 0) + 1) // for tests, and for benchmarks/lab.py
    this.surface.setAttribute('aria-label', `${content.title}. Arrow keys read points, plus and minus zoom, 0 shows the whole axis.`)
  }

  build() {
    if (!this.content) return
    this.chart?.destroy()
    const { lines, axis, label, log, logY } = this.content
    const style = getComputedStyle(document.documentElement)
    const colour = (name) => style.getPropertyValue(name).trim()
    const font = `12px ${colour('--sans')}`
    const axisStyle = { stroke: colour('--muted'), font, labelFont: font, grid: { stroke: colour('--grid'), width: 1 }, ticks: { stroke: colour('--grid'), width: 1 }, labelSize: 22 }
    const numbers = (_, values) => values.map((value) => (value === null ? '' : short(value)))
    this.chart = new uPlot({
      width: this.width,
      height: this.height,
      padding: [12, 16, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: true, y: false, setScale: false }, focus: { prox: 24 }, points: { size: 7 } },
      focus: { alpha: 0.2 },
      scales: {
        x: { time: false, distr: log ? 3 : 1, range: () => [this.content.low, this.content.high > this.content.low ? this.content.high : this.content.low + 1] },
        y: logY ? { distr: 3 } : {},
      },
      axes: [{ ...axisStyle, label: axis, values: numbers, ...(axis === 'training seconds' || log ? {} : { incrs: WHOLE }) }, { ...axisStyle, label, values: numbers, size: 56 }],
      series: [{}, ...lines.map((line) => ({
        label: line.label, stroke: colour(`--series-${line.colour}`), width: line.width, alpha: line.alpha, dash: line.dash, spanGaps: true,
        points: { show: false },
      }))],
      bands: bands(lines, (place) => colour(`--series-${lines[place].colour}`)),
      hooks: { setSelect: [(chart) => this.selected(chart)], setCursor: [(chart) => this.moved(chart)], ready: [(chart) => this.ready(chart)] },
    }, this.data(), this.surface)
  }

  ready(chart) {
    chart.over.addEventListener('dblclick', () => this.zoom(null, null))
  }

  fill() {
    this.chart.setData(this.data())
  }

  data() {
    const { x, lines, logY } = this.content
    return [x, ...lines.map(({ y }) => withGaps(y, logY ? 0 : -Infinity))]
  }

  selected(chart) {
    const { left, width } = chart.select
    if (width < 4) return
    const [low, high] = [chart.posToVal(left, 'x'), chart.posToVal(left + width, 'x')]
    chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
    this.zoom(low, high)
  }

  moved(chart) {
    const { idx, left } = chart.cursor
    if (idx === null || idx === undefined || left < 0) return
    this.at = idx
    const place = chart.series.findIndex((series, number) => number > 0 && series._focus)
    this.read(place > 0 ? place - 1 : null)
  }

  /** Say what is at the cursor: the nearest line, or how many there are. */
  read(place) {
    const { x, lines, axis } = this.content
    const where = `${axis} ${short(x[this.at])}`
    const drawn = lines.filter((line) => line.part !== 'low' && line.part !== 'high')
    const line = place === null ? (drawn.length <= 3 ? null : drawn[0]) : lines[place]
    const texts = place === null && drawn.length <= 3 ? drawn.map((one) => `${one.label}: ${this.value(one)}`) : line && place !== null ? [`${line.label}: ${this.value(line)}`] : []
    this.point([where, ...texts].join('  ·  '))
  }

  /** The value of a line at the cursor, or the nearest one before it. */
  value(line) {
    for (let place = this.at; place >= 0 && place > this.at - 50; place -= 1) if (!Number.isNaN(line.y[place])) return short(line.y[place])
    return 'no value'
  }

  pressed(event) {
    if (!this.content?.lines.length || event.ctrlKey || event.metaKey || event.altKey) return
    const { x, lines, low, high } = this.content
    const step = event.shiftKey ? 10 : 1
    const isVisible = (place) => x[place] >= low && x[place] <= high
    const keys = {
      ArrowLeft: () => this.go((this.at ?? x.length) - step),
      ArrowRight: () => this.go((this.at ?? -1) + step),
      Home: () => this.go(x.findIndex((_, place) => isVisible(place))),
      End: () => this.go(x.findLastIndex((_, place) => isVisible(place))),
      ArrowUp: () => this.choose(this.line - 1 + lines.length),
      ArrowDown: () => this.choose(this.line + 1),
      '+': () => this.scale(0.5),
      '=': () => this.scale(0.5),
      '-': () => this.scale(2),
      0: () => this.zoom(null, null),
      Escape: () => this.zoom(null, null),
    }
    if (!keys[event.key]) return
    event.preventDefault()
    keys[event.key]()
  }

  go(place) {
    const { x } = this.content
    this.at = Math.min(x.length - 1, Math.max(0, place))
    this.show()
  }

  choose(line) {
    this.line = line % this.content.lines.length
    this.at ??= this.content.x.length - 1
    this.show()
  }

  show() {
    const { x, lines } = this.content
    this.line = Math.min(this.line, lines.length - 1)
    const value = lines[this.line].y[this.at]
    this.chart.setCursor({ left: this.chart.valToPos(x[this.at], 'x'), top: Number.isNaN(value) ? 0 : this.chart.valToPos(value, 'y') }, false)
    this.read(this.line)
  }

  /** Zoom around the cursor, or around the middle. */
  scale(factor) {
    const { x, low, high, log } = this.content
    const to = log ? Math.log : (value) => value
    const from = log ? Math.exp : (value) => value
    const [a, b] = [to(low), to(high)]
    const centre = this.at === null ? (a + b) / 2 : Math.min(b, Math.max(a, to(x[this.at])))
    const half = (b - a) * factor / 2
    this.at = null
    this.zoom(from(centre - half), from(centre + half))
    announce(factor < 1 ? 'zoomed in' : 'zoomed out')
  }

  /** Draw the lines of that name in full, and all others faintly; null draws all alike. */
  highlight(name) {
    if (!this.chart) return
    const { lines } = this.content
    this.chart.series.forEach((series, place) => {
      if (place) series.alpha = lines[place - 1].alpha * (name === null || lines[place - 1].name === name ? 1 : 0.15)
    })
    this.chart.redraw(false)
  }

  resize() {
    if (this.chart && (this.chart.width !== this.width || this.chart.height !== this.height)) this.chart.setSize({ width: this.width, height: this.height })
  }

  close() {
    this.watcher.disconnect()
    this.scheme.removeEventListener('change', this.recolour)
    this.chart?.destroy()
  }
}

/** Values as uPlot takes them: null where there is none, or none above `floor`. */
function withGaps(values, floor) {
  const cells = new Array(values.length)
  for (let place = 0; place < values.length; place += 1) cells[place] = values[place] > floor ? values[place] : null
  return cells
}

/** The areas between the lines `high` and `low` of each band. */
function bands(lines, colour) {
  return lines.flatMap((line, place) => {
    if (line.part !== 'high') return []
    const low = lines.findIndex((one) => one.part === 'low' && one.label === line.label)
    return low < 0 ? [] : [{ series: [place + 1, low + 1], fill: `${colour(place)}33` }]
  })
}
