/** Uploads that nobody finishes. */
import type { ExpressionBuilder } from 'kysely'
import type { StoredSession } from '../../../backends/blobs/blob-store.ts'
import type { Tables } from '../../../backends/db/tables/index.ts'
import { thenBreathe } from '../breath.ts'
import { dropUpload, type UnfinishedUpload, withoutRow } from '../dropped-uploads.ts'
import { type Batch, type Cutoffs, type Garbage, type Parts, planned, type Step } from './step.ts'

interface Abandoned {
  readonly upload: UnfinishedUpload
  readonly garbage: Garbage
}

/** Sessions without a sign of life for so long, but for those that a living writer holds. */
export function abandonedUploads({ db, store, clock, signal }: Parts, cutoffs: Cutoffs): Step<Abandoned> {
  async function* plan(): AsyncGenerator<Batch<Abandoned>> {
    for (let last = { updated_at: '', id: '' }; ; ) {
      const rows = await db.read((tables) =>
        tables
          .selectFrom('upload_sessions')
          .innerJoin('registries', 'registries.id', 'upload_sessions.registry_id')
          .where('upload_sessions.updated_at', '<', cutoffs.uploads)
          .where(({ eb, refTuple, tuple }) =>
            eb(refTuple('upload_sessions.updated_at', 'upload_sessions.id'), '>', tuple(last.updated_at, last.id)),
          )
          .orderBy('upload_sessions.updated_at')
          .orderBy('upload_sessions.id')
          .limit(planned)
          .select(['upload_sessions.id', 'store_session', 'committing_digest', 'offset', 'repository', 'updated_at'])
          .select(['writer', 'writer_until', 'registries.name as registry'])
          .execute(),
      )
      last = rows.at(-1) ?? last
      if (rows.length === 0) return
      const work = rows
        .filter(({ writer, writer_until }) => writer === null || (writer_until ?? '') < cutoffs.now)
        .map((row) => ({
          upload: row,
          garbage: {
            reason: 'abandoned upload' as const,
            name: row.id,
            repository: `${row.registry}/${row.repository}`,
            since: row.updated_at,
            bytes: row.offset,
          },
        }))
      yield { work, garbage: work.map(({ garbage }) => garbage) }
    }
  }

  async function* carryOut(work: readonly Abandoned[]): AsyncGenerator<Garbage[]> {
    for (const { upload, garbage } of work) {
      if (signal.aborted) return
      const dropped = await thenBreathe(() =>
        dropUpload(db, store, clock, upload, (sessions) => sessions.where((session) => isAbandoned(session, cutoffs))),
      )
      if (dropped) yield [garbage]
    }
  }

  return { plan, carryOut }
}

/** Whether there has been no sign of life, and no writer holds the session who has given one lately. */
export const isAbandoned = (session: ExpressionBuilder<Tables, 'upload_sessions'>, cutoffs: Cutoffs) =>
  session.and([
    session('updated_at', '<', cutoffs.uploads),
    session.or([session('writer', 'is', null), session('writer_until', '<', cutoffs.now)]),
  ])

/** What the store keeps for sessions that no row tells of: their process died, or a power cut took the row. */
export function lostUploads({ db, store, signal }: Parts, cutoffs: Cutoffs): Step<Garbage> {
  async function* plan(): AsyncGenerator<Batch<Garbage>> {
    const limit = Date.parse(cutoffs.uploads)
    const old: StoredSession[] = []
    for await (const stored of store.listSessions()) {
      if (stored.updatedAt < limit) old.push(stored)
      if (old.length >= planned) yield lost(await withoutRow(db, old.splice(0)))
    }
    if (old.length > 0) yield lost(await withoutRow(db, old))
  }

  function lost(sessions: readonly StoredSession[]): Batch<Garbage> {
    const garbage = sessions.map(({ session, updatedAt }) => ({
      reason: 'lost upload' as const,
      name: session,
      since: new Date(updatedAt).toISOString(),
      bytes: 0,
    }))
    return { work: garbage, garbage }
  }

  // A row comes right after the store's session or never, so one that had none for so long will not get one now.
  async function* carryOut(work: readonly Garbage[]): AsyncGenerator<Garbage[]> {
    for (const session of work) {
      if (signal.aborted) return
      await store.abort(session.name)
      yield [session]
    }
  }

  return { plan, carryOut }
}
