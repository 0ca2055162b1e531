// Sends many images, two at a time. When the server is busy, all of them wait as long as it asked.
//
//   waiting --> sent --> predicted
//      ^          |-- Busy: back to the front, nothing is sent for `seconds`
//      |          `-- any other error: refused
//      `-- add            stop(): what waits is dropped, what is sent is aborted

import { Busy } from './server.js'

export const AT_ONCE = 2

export class Queue {
  #waiting = []
  #sent = 0
  #abort = new AbortController()
  #pause = 0

  /** `send(job, signal)` sends one job; `changed({waiting, seconds})` is called after each change. */
  constructor(send, changed) {
    this.send = send
    this.changed = changed
  }

  /** Jobs that are neither predicted nor refused. */
  get open() {
    return this.#waiting.length + this.#sent
  }

  /** Add jobs: `{predicted(value), refused(error)}` each. */
  add(jobs) {
    this.#waiting.push(...jobs)
    this.#fill()
  }

  /** Drop what waits and abort what is sent. */
  stop() {
    this.#waiting.length = 0
    this.#abort.abort()
    this.#abort = new AbortController()
    this.#resume()
  }

  #fill() {
    while (!this.#pause && this.#sent < AT_ONCE && this.#waiting.length) this.#run(this.#waiting.shift())
    this.changed({ open: this.open, seconds: 0 })
  }

  async #run(job) {
    this.#sent += 1
    const { signal } = this.#abort
    try {
      const value = await this.send(job, signal)
      if (!signal.aborted) job.predicted(value)
    } catch (error) {
      if (error instanceof Busy && !signal.aborted) this.#wait(job, error.seconds)
      else if (!signal.aborted) job.refused(error)
    }
    this.#sent -= 1
    if (this.#pause) return
    this.#fill()
  }

  #wait(job, seconds) {
    this.#waiting.unshift(job)
    clearTimeout(this.#pause)
    this.#pause = setTimeout(() => this.#resume(), 1000 * seconds)
    this.changed({ open: this.open, seconds })
  }

  #resume() {
    clearTimeout(this.#pause)
    this.#pause = 0
    this.#fill()
  }
}
