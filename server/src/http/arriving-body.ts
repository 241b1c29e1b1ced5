/** A request's body of announced length, cut out of what a socket delivers. */
import type { Socket } from 'node:net'
import { Fault } from '../base/fault.ts'

/** Bytes that wait for a reader before the sender is made to wait. */
const mostHeld = 128 * 1024

export class ArrivingBody {
  readonly #socket: Socket
  /** Of the body, in bytes. */
  readonly length: number
  #left: number
  #held: Buffer[] = []
  #heldBytes = 0
  #paused = false
  #dropping = false
  #gone = false
  #tellNews: (() => void) | undefined

  constructor(socket: Socket, length: number) {
    this.#socket = socket
    this.length = length
    this.#left = length
  }

  /** Whether all of it has arrived. */
  get complete(): boolean {
    return this.#left === 0
  }

  /** Takes the next bytes of the connection; returns those that follow the body. */
  take(chunk: Buffer): Buffer | undefined {
    const own = chunk.length <= this.#left ? chunk : chunk.subarray(0, this.#left)
    this.#left -= own.length
    if (!this.#dropping) this.#hold(own)
    this.#news()
    return own === chunk ? undefined : chunk.subarray(own.length)
  }

  /** To be called when nothing comes any more. */
  end(): void {
    this.#gone = true
    this.#news()
  }

  /** Faults: `clientGone`. */
  async *arriving(): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const chunk = this.#held.shift()
      if (chunk !== undefined) {
        this.#heldBytes -= chunk.length
        this.#goOn()
        yield chunk
      } else if (this.complete) return
      else if (this.#gone) throw new Fault('clientGone', { bytesReceived: this.length - this.#left })
      else await this.#someNews()
    }
  }

  /** Reads on and drops what comes. Resolves with whether the body came to its end in time. */
  async drop(ms: number): Promise<boolean> {
    this.#dropping = true
    this.#held = []
    this.#heldBytes = 0
    this.#goOn()
    const timer = setTimeout(() => this.end(), ms)
    while (!this.complete && !this.#gone) await this.#someNews()
    clearTimeout(timer)
    return this.complete
  }

  #hold(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
    if (this.complete || this.#heldBytes < mostHeld) return
    this.#paused = true
    this.#socket.pause()
  }

  #goOn(): void {
    if (!this.#paused || this.#heldBytes >= mostHeld) return
    this.#paused = false
    this.#socket.resume()
  }

  #someNews(): Promise<void> {
    return new Promise((resolve) => {
      this.#tellNews = resolve
    })
  }

  #news(): void {
    this.#tellNews?.()
    this.#tellNews = undefined
  }
}
