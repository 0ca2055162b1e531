// Compare: settings and words in which runs differ, at once; then the paired test of their predictions, image by image.

import { get, query } from './api.js'
import { announce, h, problem } from './elements.js'
import { card, confusion } from './inside.js'

/** Show the view in `element`; the runs are in the address. */
export function show(element, params) {
  const names = (params.get('runs') ?? '').split(',').filter(Boolean)
  const trouble = h('div')
  const recipes = h('div')
  const test = h('div')
  const details = h('div')
  const stop = new AbortController()
  let url = ''
  element.append(h('h1', {}, 'Compare'), trouble)

  async function choose() {
    const { rows } = await get('api/runs', {}, { signal: stop.signal })
    const runs = rows.filter((row) => row.best).map((row) => row.name).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    if (runs.length < 2) {
      trouble.replaceChildren(h('p', { className: 'box empty' }, 'A comparison needs two runs of the same data. The view Words trains networks with a click.'))
      return
    }
    const select = (place) => h('select', {}, runs.map((run, number) => h('option', { selected: run === names[place] || (!names[place] && number === place) }, run)))
    const [first, second] = [select(0), select(1)]
    element.insertBefore(h('form', { className: 'controls', onsubmit: (event) => { event.preventDefault(); location.hash = `#/compare?runs=${encodeURIComponent([first.value, second.value, ...names.slice(2)].join(','))}` } },
      h('label', {}, 'First', first), h('label', {}, 'Second', second), h('button', { className: 'primary' }, 'Compare')), trouble)
  }

  async function load() {
    element.append(test, recipes, details)
    test.append(h('p', { className: 'box quiet', role: 'status' }, 'Both networks are evaluated on all test images …'))
    const found = await get('api/compare', { run: names }, { signal: stop.signal })
    url = URL.createObjectURL(new Blob([found.drawing], { type: 'image/svg+xml' }))
    recipes.replaceChildren(settings(found, names), ...found.words.map((rows, place) => words(rows, found.runs[0], found.runs[place + 1])))
    details.replaceChildren(drawing(found, url))
    const tested = await get('api/compare/test', { run: names }, { signal: stop.signal }).catch((error) => error)
    if (tested instanceof Error) {
      if (tested.name !== 'AbortError') test.replaceChildren(h('section', { className: 'box' }, h('h2', {}, 'Predictions'), problem(tested)))
      return
    }
    test.replaceChildren(result(tested))
    details.prepend(...tested.pairs.map((pair, place) => images(tested, pair, names, place)), confusions(tested, names))
    announce(tested.conclusions)
  }

  choose().then(() => (names.length > 1 ? load() : null)).catch((error) => {
    if (error.name === 'AbortError') return
    test.replaceChildren()
    trouble.replaceChildren(problem(error))
  })
  return () => {
    stop.abort()
    if (url) URL.revokeObjectURL(url)
  }
}

function percent([low, high]) {
  return `${signed(low)} to ${signed(high)}`
}

function signed(value) {
  return value.toFixed(2).replace('-', '−')
}

function table(label, head, rows, numeric = []) {
  return h('div', { className: 'table', role: 'region', 'aria-label': label, tabIndex: 0 }, h('table', {},
    h('thead', {}, h('tr', {}, head.map((text, place) => h('th', { scope: 'col', className: numeric.includes(place) ? 'numeric' : '' }, text)))),
    h('tbody', {}, rows.map(([first, ...rest]) => h('tr', {}, h('th', { scope: 'row' }, first), rest.map((cell, place) => h('td', { className: numeric.includes(place + 1) ? 'numeric' : '' }, cell)))))))
}

function result({ conclusions, scores, pairs, noun, split }) {
  const rows = scores.map(({ name, accuracy, interval }) => [name, `${accuracy.toFixed(2)} %`, percent(interval)])
  const differences = pairs.map((pair) => [pair.name, signed(pair.difference), percent(pair.interval), String(pair.won), String(pair.lost), String(pair.both), String(pair.neither), pair.p < 1e-4 ? '< 0.0001' : pair.p.toPrecision(2)])
  return h('section', { className: 'box', 'aria-labelledby': 'result-title' }, h('h2', { id: 'result-title' }, 'Which is better'),
    h('p', { className: 'conclusion' }, conclusions),
    table('Accuracy', ['Run', 'Right', '95 % interval'], rows, [1, 2]),
    h('p', { className: 'quiet' }, `Each alone, on ${scores[0].images.toLocaleString('en')} ${noun}s (${split}). Below: each against ${scores[0].name}, ${noun} by ${noun}; the interval is a paired bootstrap, p McNemar’s exact test${pairs.length > 1 ? ', corrected for the number of pairs (Holm)' : ''}.`),
    table('Differences', ['Run', 'Difference, points', '95 % interval', 'Won', 'Lost', 'Right in both', 'Wrong in both', 'p'], differences, [1, 2, 3, 4, 5, 6, 7]))
}

function images({ noun }, pair, names, place) {
  const kinds = { won: `Right in ${pair.name} alone`, lost: `Right in ${names[0]} alone`, 'wrong in both': 'Wrong in both, differently' }
  const parts = Object.entries(kinds).map(([kind, title]) => [title, pair.changed.filter((row) => row.change === kind)]).filter(([, rows]) => rows.length)
  const count = pair.changed.length < pair.num_changed ? `${pair.changed.length} of ${pair.num_changed}` : String(pair.num_changed)
  return h('section', { className: 'box', 'aria-labelledby': `changed-${place}` }, h('h2', { id: `changed-${place}` }, `What ${pair.name} predicts differently`),
    h('p', { className: 'quiet' }, pair.num_changed ? `${count} ${noun}s on which the two disagree.` : `Nothing: both predict the same class for every ${noun}.`),
    parts.flatMap(([title, rows]) => [h('h3', {}, `${title}: ${rows.length}`), h('div', { className: 'pictures' }, rows.map((row) => {
      const image = h('img', { src: `api/compare/picture?${query({ run: names, index: row.index })}`, alt: row.file, loading: 'lazy' })
      return card(image, row.change !== 'won', [`label ${row.label}`, `${row.first} → ${row.second}`])
    }))]))
}

function confusions({ classes, confusions: all }, names) {
  return h('section', { className: 'box', 'aria-labelledby': 'confusion-title' }, h('h2', { id: 'confusion-title' }, 'Confusion side by side'),
    h('p', { className: 'quiet' }, 'Rows are labels, columns predicted classes.'),
    h('div', { className: 'columns even' }, all.map((counts, place) => h('div', {}, h('h3', {}, names[place]), confusion({ classes, confusion: counts })))))
}

function settings({ settings: rows }, names) {
  return h('section', { className: 'box', 'aria-labelledby': 'settings-title' }, h('h2', { id: 'settings-title' }, 'Settings that differ'),
    rows.length ? table('Settings that differ', ['Setting', ...names, 'Meaning'], rows.map((row) => [h('code', {}, row.field), ...row.values, row.meaning]))
      : h('p', { className: 'quiet' }, 'None: the same recipe, network and seed.'))
}

function words(rows, first, second) {
  const marked = (pieces) => pieces.map(([text, differs]) => (differs ? h('mark', {}, text) : text))
  const equal = rows.every((row) => row.is_equal)
  return h('section', { className: 'box words-diff', 'aria-label': `Words of ${first.name} and ${second.name}` }, h('h2', {}, 'Words that differ'),
    equal ? h('p', { className: 'quiet' }, `None: ${first.name} and ${second.name} have the same layers.`)
      : table('Words', ['Part', `${first.name}: ${first.network}`, `${second.name}: ${second.network}`], rows.map((row) => [row.part, h('code', {}, marked(row.first)), h('code', {}, marked(row.second))])))
}

function drawing({ runs, description }, url) {
  return h('section', { className: 'box', 'aria-labelledby': 'drawing-title' }, h('h2', { id: 'drawing-title' }, 'The networks'),
    h('div', { className: 'drawing', role: 'region', 'aria-label': 'Drawing', tabIndex: 0 }, h('img', { src: url, alt: `${[...new Set(runs.map((run) => run.network))].join(' beside ')}. ${description}` })))
}
