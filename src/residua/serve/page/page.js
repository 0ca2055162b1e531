// The page of the server: images come in, are sent two at a time, and each prediction becomes a card and a row.

import * as camera from './camera.js'
import { Card, NOTHING, percent } from './card.js'
import * as intake from './intake.js'
import { Queue } from './queue.js'
import { describe, predict } from './server.js'
import * as summary from './summary.js'

const MOST_CARDS = 100 // of more images, the table shows the rest
const REDRAW_MS = 250
const ANNOUNCE_MS = 2000
const part = (name) => document.getElementById(name)
const cards = new Set()
const batch = { total: 0, announced: 0 }
let model = { cam: false, classes: [], max_bytes: Infinity }
let redraw = 0

const queue = new Queue(({ item, options, card }, signal) => send(item, options, card, signal), showQueue)

function take(items) {
  if (!items.length) {
    say('No image was found there.')
    return
  }
  if (!queue.open) batch.total = 0
  batch.total += items.length
  const jobs = items.map((item) => {
    const card = cards.size < MOST_CARDS ? newCard(item) : null
    return job(item, card)
  })
  part('cards').prepend(...jobs.filter((one) => one.card).map((one) => one.card.element))
  part('results').hidden = false
  document.body.classList.add('busy')
  queue.add(jobs)
  part('results').scrollIntoView({ block: 'nearest' })
}

function newCard(item) {
  const card = new Card(item, { explain: sendAgain({ cam: true }), again: sendAgain({}), cam: model.cam })
  cards.add(card)
  return card
}

function sendAgain(options) {
  return (card) => {
    card.pending()
    batch.total = queue.open ? batch.total + 1 : 1
    queue.add([job(card.item, card, options)])
  }
}

function job(item, card, options = {}) {
  return {
    item,
    card,
    options,
    predicted(prediction) {
      card?.predicted(prediction)
      summary.keep(item, prediction)
      const [best] = prediction.classes
      announce(best ? `${item.name}: ${best.name}, ${percent(best.share)}` : `${item.name}: ${NOTHING}`)
    },
    refused(error) {
      card?.refused(error)
      summary.keep(item, { error: error.message })
      announce(`${item.name}: ${error.message}`)
    },
  }
}

async function send(item, options, card, signal) {
  let body = item.file
  if (body.size > model.max_bytes) {
    body = await shrink(body).catch(() => body)
    if (body !== item.file) card?.note('Made smaller before sending: the file is larger than the server accepts.')
  }
  return predict(body, { ...options, signal })
}

/** A large photo as a JPEG with at most 2,048 pixels along its longer side. */
async function shrink(file) {
  const bitmap = await createImageBitmap(file)
  const scale = Math.min(1, 2048 / Math.max(bitmap.width, bitmap.height))
  const canvas = document.createElement('canvas')
  canvas.width = Math.round(bitmap.width * scale)
  canvas.height = Math.round(bitmap.height * scale)
  canvas.getContext('2d').drawImage(bitmap, 0, 0, canvas.width, canvas.height)
  bitmap.close()
  return new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.95))
}

function showQueue({ open, seconds }) {
  const progress = part('progress')
  progress.max = batch.total
  progress.value = batch.total - open
  progress.hidden = part('stop').hidden = !open || batch.total < 2
  part('waiting').hidden = !seconds
  part('waiting').textContent = `The server is busy. The page goes on in ${Math.ceil(seconds)} s.`
  if (seconds) say(part('waiting').textContent)
  clearTimeout(redraw)
  redraw = setTimeout(showOutcomes, open ? REDRAW_MS : 0)
}

function showOutcomes() {
  const { predicted, refused } = summary.counts()
  const all = predicted + refused
  part('count').textContent = all < 2 && !refused ? '' : refused ? `${predicted} of ${all}, ${refused} refused` : `${all} images`
  part('cards').classList.toggle('single', cards.size === 1)
  part('beyond').hidden = all <= cards.size
  part('beyond').textContent = `The first ${MOST_CARDS} images have a card. The table below holds all of them.`
  summary.draw()
}

/** Tell a screen reader: each prediction of few images, the count from time to time and the end of many. */
function announce(text) {
  const left = queue.open - 1 // the job that calls is still counted
  const { predicted, refused } = summary.counts()
  if (batch.total === 1) say(text)
  else if (!left) say(`${predicted + refused} images: ${predicted} predicted, ${refused} refused.`)
  else if (performance.now() - batch.announced > ANNOUNCE_MS) {
    batch.announced = performance.now()
    say(`${batch.total - left} of ${batch.total} images`)
  }
}

function say(text) {
  part('live').textContent = text
}

function stop() {
  queue.stop()
  for (const card of cards) {
    if (card.element.classList.contains('pending')) card.refused({ message: 'Stopped before the prediction came.', again: true })
  }
  say('Stopped.')
}

function clear() {
  queue.stop()
  cards.forEach((card) => card.close())
  cards.clear()
  part('cards').replaceChildren()
  part('results').hidden = true
  document.body.classList.remove('busy')
  summary.forget()
  say('Cleared.')
  part('choose-images').focus()
}

function showModel() {
  document.title = `${model.model} · residua`
  part('model').textContent = model.model
  const count = model.classes.length.toLocaleString('en')
  const facts = [['Reads', model.reads], ['Classes', count], ['Engine', model.engine]]
  part('facts').replaceChildren(...facts.filter(([, value]) => value).map(([name, value]) => {
    const fact = document.createElement('div')
    fact.append(
      Object.assign(document.createElement('dt'), { textContent: name }),
      Object.assign(document.createElement('dd'), { textContent: value }),
    )
    return fact
  }))
  part('classes').hidden = false
  part('class-count').textContent = `${count} classes`
  part('command').textContent = `curl --data-binary @image.jpg '${new URL('predict?topk=5', document.baseURI)}'`
  if (model.task === 'clips') readVideos()
  showClasses('')
}

function readVideos() {
  for (const input of [part('images'), part('photo')]) input.accept = 'video/*'
  part('take-photo').hidden = true
  for (const word of document.querySelectorAll('.what')) word.textContent = 'videos'
}

function showClasses(text) {
  const matching = model.classes.filter((name) => name.toLowerCase().includes(text.toLowerCase()))
  part('names').replaceChildren(...matching.map((name) => Object.assign(document.createElement('li'), { textContent: name })))
  part('matches').textContent = text ? `${matching.length} of ${model.classes.length.toLocaleString('en')}` : ''
}

async function connect() {
  const state = part('state')
  try {
    model = await describe()
    state.textContent = 'ready'
    state.className = 'state ready'
    showModel()
  } catch {
    state.textContent = 'not ready'
    state.className = 'state'
    setTimeout(connect, 3000)
  }
}

intake.listen(take)
camera.listen(take)
summary.listen()
part('stop').addEventListener('click', stop)
part('clear').addEventListener('click', clear)
part('filter').addEventListener('input', (event) => showClasses(event.target.value.trim()))
connect()
