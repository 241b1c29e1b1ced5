/** What `berth migrate` says while it is at work: a line for each stage, and at a terminal how far it has come. */
import type { Progress } from '@berth/server/core/migration/run.ts'
import { formatBytes } from './table.ts'
import { Ticker } from './ticker.ts'

type Stream = ConstructorParameters<typeof Ticker>[0]

/** Where there is no terminal, a line this often. */
const lineMs = 30_000

export class MigrationTeller {
  readonly #stream: Stream
  readonly #now: () => number
  readonly #ticker: Ticker
  #stage = ''
  #stageAt = 0
  #saidAt = 0

  constructor(stream: Stream, now: () => number = () => performance.now()) {
    this.#stream = stream
    this.#now = now
    this.#ticker = new Ticker(stream)
  }

  tell(progress: Progress): void {
    const stage = headings[progress.stage](progress)
    const now = this.#now()
    if (stage !== this.#stage) {
      this.#stage = stage
      this.#stageAt = now
      this.say(stage)
    }
    if (this.#stream.isTTY !== true && now - this.#saidAt < lineMs) return
    const text = this.#farOf(progress, (now - this.#stageAt) / 1000)
    if (text === '') return
    if (this.#stream.isTTY === true) this.#ticker.show(text)
    else this.say(text)
  }

  /** A line that stays. */
  say(text: string): void {
    this.#ticker.clear()
    this.#stream.write(`${text}\n`)
    this.#saidAt = this.#now()
  }

  clear(): void {
    this.#ticker.clear()
  }

  #farOf({ stage, blobs, bytes, rows, bytesToCopy }: Progress, seconds: number): string {
    if (stage === 'verification') return ''
    if (stage === 'rows' || bytesToCopy === 0) return `  ${rows} rows changed`
    const rate = bytes / Math.max(seconds, 0.001)
    const left = bytes === 0 ? '' : `, ${formatSeconds(Math.max(0, bytesToCopy - bytes) / rate)} left`
    return `  ${blobs} blobs, ${formatBytes(bytes)} of ${formatBytes(bytesToCopy)}, ${formatBytes(rate)}/s${left}`
  }
}

const headings: Readonly<Record<Progress['stage'], (progress: Progress) => string>> = {
  blobs: ({ round }) => (round === 1 ? 'Copying blobs.' : `Copying what came meanwhile (round ${round}).`),
  rows: ({ round }) =>
    round === 1 ? 'Copying names, manifests and the like.' : `Copying what came meanwhile (round ${round}).`,
  rest: () => 'Changes are refused from now on; copying the rest.',
  verification: () => 'Reading both sides once more.',
}

/** `40 s`, `12 min`, `3 h 20 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`
  const minutes = Math.ceil(seconds / 60)
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
