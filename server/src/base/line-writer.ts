/** Lines to a file or pipe that may be full, slow or gone: whoever writes one never waits for it and never fails. */
import fs from 'node:fs'

export interface LineWriterOptions {
  /** A line that says how many are lost; it goes before the next ones that can be written. */
  readonly lost: (lines: number) => string
  readonly system?: Pick<typeof fs, 'write' | 'writeSync'>
}

/** Bytes in one write: where several processes share a pipe, their lines stay whole most of the time. */
const mostAtOnce = 16 * 1024
/** Characters that wait for a slow reader. */
const mostWaiting = 4 * 1024 * 1024
const retryMs = 100
/** How long `flush` waits for a slow reader, in all. */
const flushMs = 1_000

interface Batch {
  bytes: Buffer
  /** Where each line ends, counted from the end of all: lines whose end is not written are lost with a failure. */
  readonly ends: readonly number[]
  /** Lost lines that it tells of. */
  readonly told: number
  begun: boolean
}

export class LineWriter {
  readonly #fd: number
  readonly #lostLine: (lines: number) => string
  readonly #system: Pick<typeof fs, 'write' | 'writeSync'>
  #waiting: string[] = []
  #waitingLength = 0
  #writing = false
  #lost = 0
  /** The last bytes that were written are the beginning of a line. */
  #torn = false

  constructor(fd: number, { lost, system = fs }: LineWriterOptions) {
    this.#fd = fd
    this.#lostLine = lost
    this.#system = system
  }

  write(line: string): void {
    if (this.#waitingLength + line.length > mostWaiting) {
      this.#lost += 1
      return
    }
    this.#waiting.push(line)
    this.#waitingLength += line.length
    if (!this.#writing) this.#writeNext()
  }

  /** Writes what waits, or drops it after a second: for a process that ends. What is on its way goes on by itself. */
  flush(): void {
    const until = Date.now() + flushMs
    for (let batch = this.#take(); batch !== undefined; batch = this.#take()) {
      while (batch.bytes.length > 0) {
        try {
          advance(batch, this.#system.writeSync(this.#fd, batch.bytes))
        } catch (error) {
          if (isBusy(error) && Date.now() < until) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
          else break
        }
      }
      this.#end(batch)
    }
  }

  #writeNext(): void {
    const batch = this.#take()
    this.#writing = batch !== undefined
    if (batch !== undefined) this.#go(batch)
  }

  #go(batch: Batch): void {
    this.#system.write(this.#fd, batch.bytes, (error, written) => {
      if (isBusy(error)) {
        setTimeout(() => this.#go(batch), retryMs)
        return
      }
      if (error === null) advance(batch, written)
      if (error === null && batch.bytes.length > 0) {
        this.#go(batch)
        return
      }
      this.#end(batch)
      this.#writeNext()
    })
  }

  #take(): Batch | undefined {
    if (this.#waiting.length === 0) return undefined
    const told = this.#lost
    this.#lost = 0
    const parts = [Buffer.from((this.#torn ? '\n' : '') + (told > 0 ? this.#lostLine(told) : ''))]
    const lengths: number[] = []
    let length = 0
    while (this.#waiting.length > lengths.length && length < mostAtOnce) {
      const line = Buffer.from(this.#waiting[lengths.length] ?? '')
      this.#waitingLength -= this.#waiting[lengths.length]?.length ?? 0
      parts.push(line)
      lengths.push(line.length)
      length += line.length
    }
    this.#waiting.splice(0, lengths.length)
    let rest = length
    const ends = lengths.map((each) => {
      rest -= each
      return rest
    })
    return { bytes: Buffer.concat(parts), ends, told, begun: false }
  }

  /** Written, or as far as it could be. */
  #end({ bytes, ends, told, begun }: Batch): void {
    const lines = ends.filter((end) => end < bytes.length).length
    this.#lost += lines
    // Without a line of its own behind it, what it tells of may be lost as well.
    if (lines === ends.length) this.#lost += told
    if (begun) this.#torn = bytes.length > 0
  }
}

function advance(batch: Batch, written: number): void {
  batch.bytes = batch.bytes.subarray(written)
  batch.begun ||= written > 0
}

/** A reader that takes nothing right now; every other failure, a full disk above all, loses the lines. */
const isBusy = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'EAGAIN' || error.code === 'EBUSY')
