/** The rounds of a move, and what is counted meanwhile. */
import { type ExpressionBuilder, sql } from 'kysely'
import { numberedTables, readLastId, writeLastId } from '../../backends/db/last-ids.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import { copyBlobs } from './copy-blobs.ts'
import { copyManifests } from './copy-manifests.ts'
import { copyRows } from './copy-rows.ts'
import type { Counters, Parts, Side } from './parts.ts'
import { verifyRows } from './verify.ts'

export interface Progress {
  readonly stage: 'blobs' | 'rows' | 'rest' | 'verification'
  readonly round: number
  /** Of this round: blobs and rows that were written, bytes that were copied. */
  readonly blobs: number
  readonly bytes: number
  readonly rows: number
  /** What there was to copy when the round began. */
  readonly bytesToCopy: number
}

/** What the target has in the end. */
export interface Contents {
  /** By table. */
  readonly rows: ReadonlyMap<string, number>
  /** Of all blobs that are whole. */
  readonly blobBytes: number
  /** Blobs whose bytes are not whole in the source, the first of them. */
  readonly damagedBlobs: readonly DamagedBlob[]
  readonly damagedManifests: readonly string[]
}

export interface DamagedBlob {
  readonly digest: string
  /** One that has it, as `<registry>/<name>`. */
  readonly repository: string | undefined
}

type Given = Omit<Parts, 'count' | 'tell'> & { readonly onProgress?: (progress: Progress) => void }

const mostListed = 1_000

export class Run {
  readonly #given: Given
  readonly #count: Counters = { blobs: 0, bytes: 0, rows: 0, damagedManifests: new Set() }
  #stage: Progress['stage'] = 'blobs'
  #round = 0
  #bytesToCopy = 0

  constructor(given: Given) {
    this.#given = given
  }

  /** Makes the target what the source is at the moment, or was a moment ago. */
  async copy({ round }: { round: number }): Promise<Counters> {
    await this.#begin('blobs', round)
    await this.#copyBlobs({ proves: round === 1 })
    this.#stage = 'rows'
    await this.#copyRows({ proves: round === 1 })
    return this.#count
  }

  /** The last round, while the source refuses changes, and the proof. */
  async complete(): Promise<Contents> {
    await this.#begin('rest', this.#round + 1)
    await this.#copyRows({ proves: false })
    await this.#copyBlobs({ proves: false })
    await this.#copyLastIds()
    this.#stage = 'verification'
    const rows = await verifyRows(this.#parts)
    const { target } = this.#given
    return {
      rows,
      blobBytes: await sumOfBlobs(target),
      damagedBlobs: await listDamaged(target),
      damagedManifests: [...this.#count.damagedManifests],
    }
  }

  get #parts(): Parts {
    return { ...this.#given, count: this.#count, tell: this.#tell }
  }

  readonly #tell = () => {
    const { blobs, bytes, rows } = this.#count
    const progress = { stage: this.#stage, round: this.#round, blobs, bytes, rows, bytesToCopy: this.#bytesToCopy }
    this.#given.onProgress?.(progress)
  }

  async #begin(stage: Progress['stage'], round: number): Promise<void> {
    const { source, target, oneStore } = this.#given
    Object.assign(this.#count, { blobs: 0, bytes: 0, rows: 0 })
    this.#stage = stage
    this.#round = round
    this.#bytesToCopy = oneStore ? 0 : Math.max(0, (await sumOfBlobs(source)) - (await sumOfBlobs(target)))
    this.#tell()
  }

  async #copyBlobs(how: { readonly proves: boolean }): Promise<void> {
    const table = this.#given.tables.find(({ name }) => name === 'blobs')!
    await (this.#given.oneStore ? copyRows(this.#parts, table) : copyBlobs(this.#parts, table, how))
  }

  async #copyRows(how: { readonly proves: boolean }): Promise<void> {
    for (const table of this.#given.tables) {
      if (table.name === 'blobs') continue
      await (table.name === 'manifests' ? copyManifests(this.#parts, table, how) : copyRows(this.#parts, table))
    }
  }

  async #copyLastIds(): Promise<void> {
    const { source, hold } = this.#given
    for (const name of numberedTables) {
      const last = await source.db.read((tables) => readLastId(tables, name))
      await hold.changeTarget((tables) => writeLastId(tables, name, last))
    }
  }
}

/** Whether a round has found so little that the next one can be done while nothing changes. */
export const isLittle = ({ blobs, bytes, rows }: Counters) => blobs <= 100 && bytes <= 64 * 1024 * 1024 && rows <= 1_000

const isWhole = (blob: ExpressionBuilder<Tables, 'blobs'>) =>
  blob.and([blob('unlinked_since', 'is', null), blob('damaged_at', 'is', null)])

async function sumOfBlobs({ db }: Side): Promise<number> {
  const { bytes } = await db.read((tables) =>
    tables
      .selectFrom('blobs')
      .where(isWhole)
      .select((row) => row.fn.sum<number | null>('size').as('bytes'))
      .executeTakeFirstOrThrow(),
  )
  return bytes ?? 0
}

async function listDamaged({ db }: Side): Promise<DamagedBlob[]> {
  const rows = await db.read((tables) =>
    tables
      .selectFrom('blobs')
      .where('damaged_at', 'is not', null)
      .orderBy('digest')
      .limit(mostListed)
      .select('digest')
      .select((blob) =>
        blob
          .selectFrom('repository_blobs as link')
          .innerJoin('repositories', 'repositories.id', 'link.repository_id')
          .innerJoin('registries', 'registries.id', 'repositories.registry_id')
          .whereRef('link.digest', '=', 'blobs.digest')
          .orderBy('link.repository_id')
          .limit(1)
          .select(sql<string>`registries.name || '/' || repositories.name`.as('name'))
          .as('repository'),
      )
      .execute(),
  )
  return rows.map(({ digest, repository }) => ({ digest, repository: repository ?? undefined }))
}
