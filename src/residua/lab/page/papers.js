// The tables and figures of the papers: what each shows, what reproducing it takes, and "run this".

import { canAct, get, on } from './api.js'
import { attempt, h, status } from './elements.js'
import { startJob } from './jobs.js'

const PAPERS = { he2015: 'He et al. 2015', he2016: 'He et al. 2016', duta2020: 'Duta et al. 2020' }

/** Show the papers in `element`. */
export function show(element) {
  const list = h('div')
  element.append(h('h1', 'Papers'),
    h('p.quiet', 'Each table and figure can be run on the digits of scikit-learn, in minutes: small networks, built to ask the same question. The page of a reproduction quotes the paper beside what was measured.'),
    list)
  list.append(status('Counting what each takes …'))

  const load = () => attempt(list, async () => {
    const items = await get('api/papers')
    list.replaceChildren(...Object.entries(PAPERS).map(([paper, title]) => h('section', h('h2', title),
      h('div.box', items.filter(({ item }) => item.startsWith(`${paper}/`)).map(entry)))))
  })

  function entry({ item, what, place, cost, reason, conclusion, pages }) {
    const trouble = h('div')
    const start = () => attempt(trouble, async () => {
      await startJob('reproduce', { item, budget: 'smoke' })
      trouble.replaceChildren(status('Started; see the jobs below.'))
    })
    const run = canAct && cost.smoke && cost.smoke !== 'none' && h('button', { onclick: start }, 'Run this', h('span.unseen', ` ${item}`))
    return h('div.item',
      h('div', h('h3', what.charAt(0).toUpperCase() + what.slice(1)), h('p.quiet', [place, cost.smoke && cost.smoke !== 'none' ? `Networks x steps, and time on two cores: ${cost.smoke}` : reason.charAt(0).toUpperCase() + reason.slice(1)].filter(Boolean).join('. ')),
        conclusion ? h('p', conclusion) : null, trouble),
      h('div.act', pages.map((budget) => h('a.button', { href: `api/papers/page?item=${encodeURIComponent(item)}&budget=${budget}`, target: '_blank' }, 'Open the page', h('span.unseen', ` of ${item}`))), run || null))
  }

  const end = on('job', (job) => job.kind === 'reproduce' && job.exit_code !== null && load())
  load()
  return end
}
