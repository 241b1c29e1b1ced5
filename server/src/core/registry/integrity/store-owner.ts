/**
 * Whose blobs a store keeps. The store has word of the tenant that was founded first; so a node with a folder of its own, a
 * disk that is not mounted and another server's bucket are told from the right place before anything is done there.
 */
import type { BlobStore } from '../../../backends/blobs/blob-store.ts'
import type { Database } from '../../../backends/db/database.ts'
import { findWitness } from './store-witness.ts'

export interface Ownership {
  /**
   * `ours`: it says so, or nothing has been founded that could own it. `foreign`: it says whose it is, of no tenant of this
   * database. The others do not say: `unmarked` has blobs that the database knows, `absent` has none of those that were found
   * right last, and of an `unknown` one the database knows no blobs by which to tell.
   */
  readonly state: 'ours' | 'foreign' | 'unmarked' | 'absent' | 'unknown'
  /** Whose it is or should be: the id of a tenant; empty where there is none. */
  readonly tenant: string
}

export async function ownershipOf(db: Database, store: BlobStore): Promise<Ownership> {
  const tenants = await listTenants(db)
  const [first] = tenants
  if (first === undefined) return { state: 'ours', tenant: '' }
  const owner = await store.owner()
  if (owner !== undefined) return { state: tenants.includes(owner) ? 'ours' : 'foreign', tenant: owner }
  const states = { found: 'unmarked', missing: 'absent', none: 'unknown' } as const
  return { state: states[await findWitness(db, store)], tenant: first }
}

/** Makes it the store of this database, whosever it was. */
export async function takeStore(db: Database, store: BlobStore): Promise<void> {
  const [first] = await listTenants(db)
  if (first === undefined) throw new Error('nothing has been founded that could own the store')
  await store.setOwner(first)
}

/** Ids, in the order in which they were founded. */
async function listTenants(db: Database): Promise<string[]> {
  const rows = await db.read((tables) => tables.selectFrom('tenants').select(['id', 'created_at']).execute())
  const age = ({ created_at, id }: (typeof rows)[number]) => `${created_at} ${id}`
  return rows.toSorted((one, other) => (age(one) < age(other) ? -1 : 1)).map(({ id }) => id)
}
