/**
 * One program at a time carries out a move: it holds the source's row, and says so again and again. When it is killed, the
 * hold ends by itself, and a freeze with it.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Kysely } from 'kysely'
import type { Database } from '../../backends/db/database.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import type { Clock } from '../../base/clock.ts'
import { timestamp } from '../../base/timestamp.ts'
import { MigrationError } from './migration-error.ts'
import { isEmpty, type Move, moveIn, writeMove } from './moves.ts'

/** A database and its blob store, as settings spell them, without secrets. */
export interface Place {
  readonly database: string
  readonly blobs: string
}

/** Then only the database moves. */
export const haveOneStore = (one: Place, other: Place): boolean => one.blobs === other.blobs

export interface HoldOptions {
  readonly source: Database
  readonly target: Database
  readonly from: Place
  readonly to: Place
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly limits: HoldLimits
  /** Called when another program seems to be at work, which may have been killed. */
  readonly onWaiting: (seconds: number) => void
}

export interface HoldLimits {
  /** How long a hold lasts without a word. */
  readonly leaseMs: number
  readonly renewMs: number
}

const pollMs = 200

/**
 * Throws `MigrationError` when another program carries out a move of the source, and when the target is neither empty nor
 * what an earlier run of the same move has left.
 */
export async function takeHold(options: HoldOptions): Promise<Hold> {
  const { row, before } = await claimSource(options, randomUUID())
  const hold = new Hold(options, row)
  try {
    await claimTarget(options, row)
    return hold
  } catch (error) {
    await hold.release()
    if (before?.id !== row.id) await putBack(options.source, row, before)
    throw error
  }
}

/** What is the source's row now, and what it was. */
interface Claimed {
  readonly row: Move
  readonly before: Move | undefined
}

async function claimSource(options: HoldOptions, holder: string): Promise<Claimed> {
  const { source, clock, limits, signal } = options
  for (let seen: Move | undefined; ; await pause(Math.min(pollMs, limits.renewMs), undefined, { signal })) {
    const claimed = await source.write((tables) => claimSourceIn(tables, options, holder), { move: 'decides' })
    if ('row' in claimed) return claimed
    const { busy } = claimed
    if (seen !== undefined && seen.until !== busy.until)
      throw new MigrationError('another `berth migrate` is at work on the same data')
    if (seen === undefined) options.onWaiting(Math.ceil((Date.parse(busy.until) - clock.now()) / 1000))
    seen = busy
  }
}

async function claimSourceIn(
  tables: Kysely<Tables>,
  { from, to, clock, limits }: HoldOptions,
  holder: string,
): Promise<Claimed | { busy: Move }> {
  const found = await moveIn(tables)
  if (found?.state === 'filling') throw new MigrationError(`${from.database} is being filled by another move itself`)
  if (found?.state === 'moved') throw new MigrationError(`everything has moved to ${found.database} already`)
  const now = timestamp(clock)
  if (found !== undefined && found.holder !== '' && found.until > now) return { busy: found }
  const until = new Date(clock.now() + limits.leaseMs).toISOString()
  // The rest of a move that has ended here says nothing about the one that begins.
  const earlier = found?.state === 'arrived' ? undefined : found
  const row: Move = {
    id: earlier?.id ?? randomUUID(),
    state: 'copying',
    holder,
    until,
    database: to.database,
    blobs: to.blobs,
    shares_blobs: haveOneStore(from, to) ? 1 : 0,
    begun_at: earlier?.begun_at ?? now,
  }
  await writeMove(tables, row)
  return { row, before: found }
}

async function claimTarget({ target, from, to }: HoldOptions, move: Move): Promise<void> {
  await target.write(
    async (tables) => {
      const found = await moveIn(tables)
      const isOurs = found?.id === move.id && found.state === 'filling'
      if (!isOurs) {
        if (found !== undefined) throw new MigrationError(strangers[found.state](to.database, found))
        if (!(await isEmpty(tables)))
          throw new MigrationError(`${to.database} holds something already: name an empty one`)
      }
      await writeMove(tables, { ...move, state: 'filling', until: '', database: from.database, blobs: to.blobs })
    },
    { move: 'decides' },
  )
}

const isMovingItself = (name: string, { database }: Move) => `${name} is itself being moved to ${database}`

const strangers: Readonly<Record<Move['state'], (name: string, found: Move) => string>> = {
  copying: isMovingItself,
  frozen: isMovingItself,
  moved: isMovingItself,
  filling: (name, { database }) => `${name} holds a part of what another move brought from ${database}: empty it first`,
  arrived: (name, { database }) => `${name} holds what another move brought from ${database}: name an empty one`,
}

/** As if the move had never begun: an earlier one that ended here can be undone as before. */
async function putBack(db: Database, { id }: Move, before: Move | undefined): Promise<void> {
  await db.write(
    async (tables) => {
      const found = await moveIn(tables)
      if (found?.id !== id || found.holder !== '') return
      if (before === undefined) await tables.deleteFrom('moves').execute()
      else await writeMove(tables, before)
    },
    { move: 'ignores' },
  )
}

export class Hold {
  readonly #options: HoldOptions
  readonly #move: Move
  readonly #lost = new AbortController()
  /** Ends when the caller's does, and when the hold is lost. */
  readonly signal: AbortSignal
  #state: 'copying' | 'frozen' | 'ended' = 'copying'
  readonly #renewal: NodeJS.Timeout
  #renewedAt = performance.now()
  /** What changes the source's row, one after the other. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: HoldOptions, move: Move) {
    this.#options = options
    this.#move = move
    this.signal = AbortSignal.any([options.signal, this.#lost.signal])
    this.#renewal = setInterval(() => this.#renew(), options.limits.renewMs)
  }

  #renew(): void {
    this.#inTurn(async () => {
      if (this.#state === 'ended') return
      if (await this.#changeSource({ until: this.#until() }, 'ignores')) this.#renewedAt = performance.now()
      else this.#lose()
    }).catch((error: unknown) => {
      if (performance.now() - this.#renewedAt > this.#options.limits.leaseMs) this.#lose(error)
    })
  }

  /** From now on the source refuses changes, until `finish`, `release` or the end of the hold. */
  async freeze(): Promise<void> {
    await this.#inTurn(async () => {
      if (!(await this.#changeSource({ state: 'frozen', until: this.#until() }, 'decides'))) throw this.#lose()
      this.#state = 'frozen'
    })
  }

  /** Throws when the hold is lost, which may not have been noticed yet. */
  async confirm(): Promise<void> {
    await this.#inTurn(async () => {
      if (!(await this.#changeSource({ until: this.#until() }, 'ignores'))) throw this.#lose()
    })
  }

  /** A transaction that changes the target, and does nothing once another program has taken over. */
  async changeTarget<T>(fn: (tables: Kysely<Tables>) => Promise<T>, { sync = false } = {}): Promise<T> {
    this.signal.throwIfAborted()
    return this.#options.target.write(
      async (tables) => {
        const found = await moveIn(tables)
        if (found?.holder !== this.#move.holder) throw lostError()
        return fn(tables)
      },
      { sync, move: 'ignores' },
    )
  }

  /** The source refuses changes for good, then the target takes them. Only while frozen, with all that is to move there. */
  async finish(): Promise<void> {
    const { id } = this.#move
    // A synced commit that has changed something makes everything durable that was committed before it.
    await this.changeTarget((tables) => tables.updateTable('moves').set({ until: '' }).where('id', '=', id).execute(), {
      sync: true,
    })
    await this.#inTurn(async () => {
      if (!(await this.#changeSource({ state: 'moved', holder: '', until: '' }, 'decides'))) throw this.#lose()
      this.#end()
    })
    await arrive(this.#options.target, id)
  }

  /** Gives the hold back; a freeze ends. Also when it is lost or the move has ended: then it does nothing. */
  async release(): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#state === 'ended') return
      await this.#changeSource({ state: 'copying', holder: '', until: '' }, 'ignores')
      this.#end()
    })
  }

  /** False when it is not what this program made it any more: held by another, or a freeze that was not renewed in time. */
  async #changeSource(change: Partial<Pick<Move, 'state' | 'holder' | 'until'>>, move: 'ignores' | 'decides') {
    const { id, holder } = this.#move
    const { numUpdatedRows } = await this.#options.source.write(
      (tables) =>
        tables
          .updateTable('moves')
          .set(change)
          .where('id', '=', id)
          .where('holder', '=', holder)
          .where('state', '=', this.#state === 'frozen' ? 'frozen' : 'copying')
          .executeTakeFirst(),
      { move },
    )
    return numUpdatedRows > 0n
  }

  #until(): string {
    return new Date(this.#options.clock.now() + this.#options.limits.leaseMs).toISOString()
  }

  #lose(cause?: unknown): MigrationError {
    const error = lostError(cause)
    this.#end()
    this.#lost.abort(error)
    return error
  }

  #end(): void {
    this.#state = 'ended'
    clearInterval(this.#renewal)
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => undefined) // told to whoever asked for it
    return turn
  }
}

/** Completes what `finish` has begun. */
export async function arrive(target: Database, id: string): Promise<void> {
  await target.write(
    (tables) =>
      tables
        .updateTable('moves')
        .set({ state: 'arrived', holder: '', until: '' })
        .where('id', '=', id)
        .where('state', '=', 'filling')
        .execute(),
    { move: 'decides' },
  )
}

function lostError(cause?: unknown): MigrationError {
  const message =
    'this program stood still for too long, so the source took changes again; run the same command once more'
  return new MigrationError(message, { cause })
}
