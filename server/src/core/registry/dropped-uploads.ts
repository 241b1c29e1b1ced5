/** The end of upload sessions that nobody will finish. */
import type { DeleteQueryBuilder, DeleteResult, Kysely } from 'kysely'
import type { BlobStore, StoredSession } from '../../backends/blobs/blob-store.ts'
import type { Database } from '../../backends/db/database.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import type { Clock } from '../../base/clock.ts'
import { timestamp } from '../../base/timestamp.ts'
import { storedDigest } from './stored-digest.ts'

export interface UnfinishedUpload {
  readonly id: string
  readonly store_session: string
  readonly committing_digest: string | null
}

export type SessionRows = DeleteQueryBuilder<Tables, 'upload_sessions', DeleteResult>

/**
 * Drops a session and its bytes, if `still` picks its row; answers whether it did. also: what belongs to it, in the same
 * transaction.
 * Bytes that are a blob's already, by a finish that died before its rows were written, get a row without links, so that the
 * collection finds them.
 */
export async function dropUpload(
  db: Database,
  store: BlobStore,
  clock: Clock,
  upload: UnfinishedUpload,
  still: (sessions: SessionRows) => SessionRows,
  also: (tables: Kysely<Tables>) => Promise<void> = async () => {},
): Promise<boolean> {
  const digest = upload.committing_digest === null ? undefined : storedDigest(upload.committing_digest)
  const left = digest && (await store.stat(digest))
  const dropped = await db.write(
    async (tables) => {
      const sessions = tables.deleteFrom('upload_sessions').where('id', '=', upload.id)
      if ((await still(sessions).executeTakeFirst()).numDeletedRows === 0n) return false
      if (digest !== undefined && left !== undefined) {
        const now = timestamp(clock)
        await tables
          .insertInto('blobs')
          .values({ digest, size: left.size, created_at: now, unlinked_since: now })
          .onConflict((conflict) => conflict.doNothing())
          .execute()
      }
      await also(tables)
      return true
    },
    { sync: false, move: 'tidies' },
  )
  if (dropped) await store.abort(upload.store_session)
  return dropped
}

/** Of a store's sessions, those that no row tells of. At most as many as one query may name. */
export async function withoutRow(db: Database, sessions: readonly StoredSession[]): Promise<StoredSession[]> {
  if (sessions.length === 0) return []
  const names = sessions.map(({ session }) => session)
  const rows = await db.read((tables) =>
    tables.selectFrom('upload_sessions').where('store_session', 'in', names).select('store_session').execute(),
  )
  const known = new Set(rows.map((row) => row.store_session))
  return sessions.filter(({ session }) => !known.has(session))
}
