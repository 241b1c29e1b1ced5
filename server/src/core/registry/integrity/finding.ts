/** What a check says, and the shape of one check. */
import type { BlobStore } from '../../../backends/blobs/blob-store.ts'
import type { Database } from '../../../backends/db/database.ts'
import type { Clock } from '../../../base/clock.ts'
import { isLossOfBytes } from './examine-blob.ts'
import type { KindName } from './kinds.ts'

/** Something that was wrong twice, a moment apart. */
export interface Finding {
  readonly kind: KindName
  /** A digest, the name of a tag or of an upload session, or of a registry or repository. */
  readonly name: string
  /** `<registry>/<repository>`: those that it concerns, but of very many the first few only. */
  readonly where: readonly string[]
  /** How many there are besides. */
  readonly elsewhere: number
  /** What was found, in words; may be empty. */
  readonly detail: string
  /** Of what it is about; 0 where that makes no sense. */
  readonly bytes: number
  readonly outcome: 'found' | 'repaired' | 'left'
  /** What was done about it, or why nothing was. */
  readonly done?: string
}

/** Something that looks wrong now. */
export interface Trouble extends Omit<Finding, 'outcome' | 'done'> {
  /**
   * In transactions that look once more. `changed`: it is not as it was found any more, and nothing was done.
   * Absent where there is nothing to be done.
   */
  readonly repair?: () => Promise<Repair>
}

export type Repair = 'changed' | { readonly done: string } | { readonly left: string }

export interface Scanned<Suspect> {
  /** How many things were looked at. */
  readonly looked: number
  /** How many stored bytes were read for that. */
  readonly bytes?: number
  readonly suspects: readonly Suspect[]
}

/** One kind of thing that is looked at. */
export interface Check<Suspect = unknown> {
  /** Plural, for progress. */
  readonly things: string
  /** Everything, in batches, each found by a range of an index when it is asked for. */
  scan(): AsyncIterable<Scanned<Suspect>>
  /** A fresh look at one of them, which may have changed or gone meanwhile. */
  look(suspect: Suspect): Promise<readonly Trouble[]>
}

export interface Parts {
  readonly db: Database
  readonly store: BlobStore
  readonly clock: Clock
  /** Sizes only, in place of reading all bytes. */
  readonly quick: boolean
  /** Unfinished uploads that are younger are nobody's business. */
  readonly uploadExpiryMs: number
}

/** read: the rows after the given one, or the first ones. */
export async function* pages<Row>(read: (last: Row | undefined) => Promise<Row[]>): AsyncGenerator<Row[]> {
  for (let last: Row | undefined; ; ) {
    const rows = await read(last)
    if (rows.length === 0) return
    yield rows
    last = rows.at(-1)
  }
}

/** What the system says about one file, besides that its bytes are lost; everything else that fails is about more than that. */
const refusals = new Set(['EACCES', 'EPERM', 'EISDIR', 'ENOTDIR', 'ELOOP'])

/** The system's refusal to give out one file, such as that it is somebody else's, is an answer. */
export async function unlessRefused<T>(work: Promise<T>): Promise<T | Error> {
  try {
    return await work
  } catch (error) {
    if (isLossOfBytes(error)) return error
    if (error instanceof Error && 'code' in error && refusals.has(String(error.code))) return error
    throw error
  }
}

/** The first few of a list that may be long, for one line of text. */
export function listed(names: readonly string[], total = names.length): string {
  const shown = names.slice(0, 3)
  return total > shown.length ? `${shown.join(', ')} and ${total - shown.length} more` : shown.join(', ')
}
