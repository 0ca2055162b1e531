// Compare: settings and words in which runs differ, at once; then the paired test of their predictions, image by image.

import { address, get, query } from './api.js'
import { announce, box, byName, frame, h, problem, select, status, table } from './elements.js'
import { card, confusion } from './inside.js'

/** Show the view in `element`; the runs are in the address. */
export function show(element, params) {
  const names = params.getAll('run')
  const trouble = h('div')
  const recipes = h('div')
  const test = h('div')
  const details = h('div')
  const stop = new AbortController()
  let url = ''
  element.append(h('h1', 'Compare'), trouble)

  async function choose() {
    const { rows } = await get('api/runs', {}, { signal: stop.signal })
    const runs = rows.filter((row) => row.best).map((row) => row.name).sort(byName)
    if (runs.length < 2) {
      trouble.replaceChildren(h('p.box.empty', 'A comparison needs two runs of the same data. The view Words trains networks with a click.'))
      return
    }
    const [first, second] = [0, 1].map((place) => select(runs, names[place] ?? runs[place]))
    const compare = (event) => {
      event.preventDefault()
      location.hash = address('compare', { run: [first.value, second.value, ...names.slice(2)] })
    }
    element.insertBefore(h('form.controls', { onsubmit: compare }, h('label', 'First', first), h('label', 'Second', second), h('button.primary', { type: 'submit' }, 'Compare')), trouble)
  }

  async function load() {
    element.append(test, recipes, details)
    test.append(h('section.box', status('Both networks are evaluated on all test images …')))
    const found = await get('api/compare', { run: names }, { signal: stop.signal })
    url = URL.createObjectURL(new Blob([found.drawing], { type: 'image/svg+xml' }))
    recipes.replaceChildren(settings(found, names), ...found.words.map((rows, place) => words(rows, found.runs[0], found.runs[place + 1])))
    details.replaceChildren(drawing(found, url))
    const tested = await get('api/compare/test', { run: names }, { signal: stop.signal }).catch((error) => error)
    if (tested instanceof Error) {
      if (tested.name !== 'AbortError') test.replaceChildren(box('Predictions', problem(tested)))
      return
    }
    test.replaceChildren(result(tested))
    details.prepend(...tested.pairs.map((pair) => images(tested, pair, names)), confusions(tested, names))
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

function result({ conclusions, scores, pairs, noun, split }) {
  const rows = scores.map(({ name, accuracy, interval }) => [name, `${accuracy.toFixed(2)} %`, percent(interval)])
  const differences = pairs.map((pair) => [pair.name, signed(pair.difference), percent(pair.interval), String(pair.won), String(pair.lost), String(pair.both), String(pair.neither), pair.p < 1e-4 ? '< 0.0001' : pair.p.toPrecision(2)])
  return box('Which is better',
    h('p.conclusion', conclusions),
    table('Accuracy', ['Run', 'Right', '95 % interval'], rows, [1, 2]),
    h('p.quiet', `Each alone, on ${scores[0].images.toLocaleString('en')} ${noun}s (${split}). Below: each against ${scores[0].name}, ${noun} by ${noun}; the interval is a paired bootstrap, p McNemar’s exact test${pairs.length > 1 ? ', corrected for the number of pairs (Holm)' : ''}.`),
    table('Differences', ['Run', 'Difference, points', '95 % interval', 'Won', 'Lost', 'Right in both', 'Wrong in both', 'p'], differences, [1, 2, 3, 4, 5, 6, 7]))
}

function images({ noun }, pair, names) {
  const kinds = { won: `Right in ${pair.name} alone`, lost: `Right in ${names[0]} alone`, 'wrong in both': 'Wrong in both, differently' }
  const parts = Object.entries(kinds).map(([kind, title]) => [title, pair.changed.filter((row) => row.change === kind)]).filter(([, rows]) => rows.length)
  const count = pair.changed.length < pair.num_changed ? `${pair.changed.length} of ${pair.num_changed}` : String(pair.num_changed)
  return box(`What ${pair.name} predicts differently`,
    h('p.quiet', pair.num_changed ? `${count} ${noun}s on which the two disagree.` : `Nothing: both predict the same class for every ${noun}.`),
    parts.flatMap(([title, rows]) => [h('h3', `${title}: ${rows.length}`), h('div.pictures', rows.map((row) => {
      const image = h('img', { src: `api/compare/picture?${query({ run: names, index: row.index })}`, alt: row.file, loading: 'lazy' })
      return card(image, row.change !== 'won', [`label ${row.label}`, `${row.first} → ${row.second}`])
    }))]))
}

function confusions({ classes, confusions: all }, names) {
  return box('Confusion side by side',
    h('p.quiet', 'Rows are labels, columns predicted classes.'),
    h('div.columns.even', all.map((counts, place) => h('div', h('h3', names[place]), confusion({ classes, confusion: counts })))))
}

function settings({ settings: rows }, names) {
  return box('Settings that differ',
    rows.length ? table('Settings that differ', ['Setting', ...names, 'Meaning'], rows.map((row) => [h('code', row.field), ...row.values, row.meaning]))
      : h('p.quiet', 'None: the same recipe, network and seed.'))
}

function words(rows, first, second) {
  const marked = (pieces) => pieces.map(([text, differs]) => (differs ? h('mark', text) : text))
  const equal = rows.every((row) => row.is_equal)
  return box('Words that differ',
    equal ? h('p.quiet', `None: ${first.name} and ${second.name} have the same layers.`)
      : table('Words', ['Part', `${first.name}: ${first.network}`, `${second.name}: ${second.network}`], rows.map((row) => [row.part, h('code', marked(row.first)), h('code', marked(row.second))])))
}

function drawing({ runs, description }, url) {
  return box('The networks',
    frame('drawing', 'Drawing', h('img', { src: url, alt: `${[...new Set(runs.map((run) => run.network))].join(' beside ')}. ${description}` })))
}
