/**
 * Reading all blobs again and again, slowly, so that damage is found while somebody can still push the right bytes.
 *
 * The blob that was not read for longest comes first, and a push counts as a reading. At a rate at which everything takes
 * `fullMs`, a blob that becomes due at the age of `periodMs - fullMs` is read before it is `periodMs` old, whatever is
 * before it. So a large store is read all the time at the lowest rate that will do; of a small one, some blobs now and then.
 */
import type { Digest } from '@berth/oci'
import type { Kysely } from 'kysely'
import type { BlobStore } from '../../../backends/blobs/blob-store.ts'
import type { Database } from '../../../backends/db/database.ts'
import type { Tables } from '../../../backends/db/tables/index.ts'
import type { Clock } from '../../../base/clock.ts'
import { timestamp } from '../../../base/timestamp.ts'
import { storedDigest } from '../stored-digest.ts'
import { BadInARow, mostInARow } from './bad-in-a-row.ts'
import { type BlobState, damageOf, linkedFrom, lookAtBlob, markDamaged, readableBlobs } from './damage.ts'
import { pages, unlessRefused } from './finding.ts'
import { isStoreThere } from './store-witness.ts'

export interface ScrubOptions {
  /** Within this time every blob is read once. */
  readonly periodMs: number
  readonly signal: AbortSignal
  /** Resolves at once when the signal says so. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>
}

export type Scrubbed =
  | ScrubbedAs<'right'>
  /** It is marked; reason: what was found in place of its bytes. where: the first few repositories that link it. */
  | (ScrubbedAs<'damaged'> & {
      readonly reason: string
      readonly where: readonly string[]
      /** How many more repositories there are. */
      readonly elsewhere: number
    })
  /** The system refuses to read it, which says nothing about the bytes. */
  | (ScrubbedAs<'refused'> & { readonly reason: string })

interface ScrubbedAs<Kind extends string> {
  readonly kind: Kind
  readonly digest: Digest
  /** That were read. */
  readonly bytes: number
  /** ISO time when it was last found right. */
  readonly before: string
}

export interface Scrubber {
  /**
   * Reads what is due, one blob at a time, and marks what is damaged; ends when nothing is due, or early when the signal
   * says so. Safe beside another one. Throws when so many blobs one after another are no good that it must be the store.
   */
  scrub(options: ScrubOptions): AsyncIterable<Scrubbed>
  /** When the blob was last read that is next; undefined where there is none. */
  oldest(): Promise<Date | undefined>
}

/** What is left for delays, of the period. */
const slack = 0.1
/** A small store is not read any slower. */
export const leastBytesPerSecond = 1024 * 1024
/** Between two blobs, however small. */
const leastPauseMs = 5
/** The pace is kept to within so much. */
const smallestWaitMs = 20
const sliceBytes = 8 * 1024 * 1024
const pageRows = 50
/** Readings are noted together, but not later than this. */
const noteAfterMs = 10_000
const mostHeld = 1_000

export function createScrubber(db: Database, store: BlobStore, clock: Clock): Scrubber {
  return {
    async *scrub({ periodMs, signal, wait }) {
      const notes = new Notes(db, clock)
      const bad = new BadBlobs()
      try {
        for await (const { digest, bytesPerSecond } of dueBlobs(periodMs)) {
          if (signal.aborted) return
          const pace = new Pace(clock, bytesPerSecond, wait, signal)
          const state = await unlessRefused(look(digest, pace))
          if (state instanceof Error) {
            yield { kind: 'refused', digest, bytes: 0, before: '', reason: state.message }
          } else if (state !== undefined && damageOf(state) !== undefined) {
            if (state.bytes.kind === 'missing' && !(await isStoreThere(db, store, digest)))
              throw new Error(`${digest} is missing, like all that were right last: is the store whole?`)
            for (const one of bad.add(state)) yield* mark(one)
          } else if (state?.bytes.kind === 'read' && state.row.damaged_at === null) {
            for (const one of bad.believe()) yield* mark(one)
            await notes.add(digest)
            yield { kind: 'right', digest, bytes: state.bytes.size, before: state.row.scrubbed_at }
          }
          await pace.rest()
        }
        bad.end()
      } finally {
        await notes.write()
      }
    },

    async oldest() {
      const [row] = await db.read((tables) => oldestFirst(tables).limit(1).select('scrubbed_at').execute())
      return row && new Date(row.scrubbed_at)
    },
  }

  /** Goes on where it was, so that what cannot be read holds nothing up. */
  async function* dueBlobs(periodMs: number) {
    type Due = { readonly digest: string; readonly scrubbed_at: string }
    let bytesPerSecond = 0
    const read = async (last: Due = { scrubbed_at: '', digest: '' }) =>
      db.read(async (tables) => {
        const plan = planScrub(await storedTotal(tables), periodMs)
        bytesPerSecond = plan.bytesPerSecond
        return oldestFirst(tables)
          .where('scrubbed_at', '<', new Date(clock.now() - plan.dueAgeMs).toISOString())
          .where(({ eb, refTuple, tuple }) =>
            eb(refTuple('scrubbed_at', 'digest'), '>', tuple(last.scrubbed_at, last.digest)),
          )
          .limit(pageRows)
          .select(['digest', 'scrubbed_at'])
          .execute()
      })
    for await (const rows of pages(read)) {
      for (const { digest } of rows) yield { digest: storedDigest(digest), bytesPerSecond }
    }
  }

  /** Twice where it looks damaged. Undefined where it was cut short, or the blob has gone or changed. */
  async function look(digest: Digest, pace: Pace): Promise<BlobState | undefined> {
    const lookOnce = () => lookAtBlob(db, store, digest, { sliceBytes, pace: (bytes) => pace.keep(bytes) })
    try {
      const first = await lookOnce()
      return first === undefined || damageOf(first) === undefined ? first : await lookOnce()
    } catch (error) {
      if (error === pace.ended) return undefined
      throw error
    }
  }

  async function* mark(state: BlobState): AsyncGenerator<Scrubbed> {
    const { digest, size, scrubbed_at: before } = state.row
    if (!(await markDamaged(db, clock, state.row))) return
    const reason = reasonOf(state)
    yield { kind: 'damaged', digest, bytes: size, before, reason, ...(await linkedFrom(db, digest)) }
  }
}

/** Those that may be marked, and those for which that is in doubt. */
class BadBlobs {
  readonly #inARow = new BadInARow()
  #held: BlobState[] = []

  /** Returns what may be marked by now. */
  add(state: BlobState): readonly BlobState[] {
    if (this.#inARow.add(state.row.digest)) return [state]
    this.#held.push(state)
    if (this.#held.length === mostHeld) this.end()
    return []
  }

  /** After one that is right: the store is there. */
  believe(): readonly BlobState[] {
    const held = this.#held
    this.#held = []
    this.#inARow.end()
    return held
  }

  end(): void {
    const last = this.#held.at(-1)
    if (last === undefined) return
    const count = mostInARow + this.#held.length
    throw new Error(`${count} blobs in a row are no good, the last ${last.row.digest}: is the store whole?`)
  }
}

/** How fast to read, and from what age on. */
export function planScrub(storedBytes: number, periodMs: number): { bytesPerSecond: number; dueAgeMs: number } {
  const cycleMs = periodMs * (1 - slack)
  const bytesPerSecond = Math.max(leastBytesPerSecond, (storedBytes / cycleMs) * 1000)
  const fullMs = (storedBytes / bytesPerSecond) * 1000
  return { bytesPerSecond, dueAgeMs: Math.max(0, cycleMs - fullMs) }
}

/** Of all registries: what two of them have counts twice, so it is never too little. */
async function storedTotal(tables: Kysely<Tables>): Promise<number> {
  const { total } = await tables
    .selectFrom('registry_usage')
    .select(({ fn }) => fn.sum<number | null>('blob_bytes').as('total'))
    .executeTakeFirstOrThrow()
  return total ?? 0
}

const oldestFirst = (tables: Kysely<Tables>) => readableBlobs(tables).orderBy('scrubbed_at').orderBy('digest')

function reasonOf({ bytes }: BlobState): string {
  if (bytes.kind === 'missing') return 'its bytes are gone'
  return bytes.kind === 'unreadable' ? bytes.reason : `its bytes are ${bytes.actual}`
}

/** Of one blob: waits where the reading is ahead of its time. */
class Pace {
  readonly ended = new Error('the scrubbing ends')
  readonly #clock: Clock
  readonly #bytesPerSecond: number
  readonly #wait: ScrubOptions['wait']
  readonly #signal: AbortSignal
  readonly #began: number
  #bytes = 0

  constructor(clock: Clock, bytesPerSecond: number, wait: ScrubOptions['wait'], signal: AbortSignal) {
    this.#clock = clock
    this.#bytesPerSecond = bytesPerSecond
    this.#wait = wait
    this.#signal = signal
    this.#began = clock.now()
  }

  /** Throws `ended` when the signal says so. */
  async keep(bytes: number): Promise<void> {
    this.#bytes += bytes
    if (this.#aheadMs >= smallestWaitMs) await this.#wait(this.#aheadMs, this.#signal)
    if (this.#signal.aborted) throw this.ended
  }

  /** After the last byte. */
  async rest(): Promise<void> {
    if (!this.#signal.aborted) await this.#wait(Math.max(leastPauseMs, this.#aheadMs), this.#signal)
  }

  get #aheadMs(): number {
    return (this.#bytes / this.#bytesPerSecond) * 1000 - (this.#clock.now() - this.#began)
  }
}

/** Readings that are to be noted; one that gets lost is done again. */
class Notes {
  readonly #db: Database
  readonly #clock: Clock
  #digests: Digest[] = []
  #since = 0

  constructor(db: Database, clock: Clock) {
    this.#db = db
    this.#clock = clock
  }

  async add(digest: Digest): Promise<void> {
    if (this.#digests.length === 0) this.#since = this.#clock.now()
    this.#digests.push(digest)
    if (this.#digests.length >= pageRows || this.#clock.now() - this.#since >= noteAfterMs) await this.write()
  }

  async write(): Promise<void> {
    const digests = this.#digests
    this.#digests = []
    if (digests.length === 0) return
    const scrubbed_at = timestamp(this.#clock)
    await this.#db.write(
      (tables) => tables.updateTable('blobs').set({ scrubbed_at }).where('digest', 'in', digests).execute(),
      { sync: false, move: 'tidies' },
    )
  }
}
