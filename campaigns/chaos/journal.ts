/** What the server has promised to whom, and what was under way when it died. Kept by the clients, in memory. */
import { Tally } from '../report.ts'
import { createRepositoryModel, type RepositoryModel } from './model.ts'

export interface Sent {
  readonly what: string
  readonly since: number
  outcome: 'under way' | 'answered' | 'lost'
}

export interface OpenUpload {
  readonly repository: RepositoryModel
  /** Of the newest answer. */
  readonly location: string
  readonly bytes: Buffer
  readonly digest: string
  /** Bytes of the last acknowledged chunk and all before it. */
  readonly acknowledged: number
  /** What was sent last. */
  readonly last: 'chunk' | 'end' | 'cancel'
  /** That one got no answer: a killed process may hold the upload until the server starts again. */
  readonly lost: boolean
}

export interface Journal {
  /** Whether the server removes at once what no manifest names. */
  readonly collecting: boolean
  readonly repositories: ReadonlyMap<string, RepositoryModel>
  repository(name: string): RepositoryModel
  readonly openUploads: OpenUpload[]
  /** Locations of uploads that were cancelled, for the next look. */
  readonly cancelled: string[]
  readonly tally: Tally
  readonly problems: string[]
  /** Notes a request on its way; resolves or rejects as it does. */
  track<T>(what: string, request: Promise<T>): Promise<T>
  /** Requests that are under way and were sent before then. */
  inFlightSince(time: number): Sent[]
}

export function createJournal(collecting: boolean): Journal {
  const underWay = new Set<Sent>()
  const repositories = new Map<string, RepositoryModel>()
  const tally = new Tally()
  return {
    collecting,
    repositories,
    repository(name) {
      const known = repositories.get(name) ?? createRepositoryModel(name)
      repositories.set(name, known)
      return known
    },
    openUploads: [],
    cancelled: [],
    tally,
    problems: [],
    async track(what, request) {
      const sent: Sent = { what, since: performance.now(), outcome: 'under way' }
      underWay.add(sent)
      try {
        const result = await request
        sent.outcome = 'answered'
        return result
      } catch (error) {
        sent.outcome = 'lost'
        tally.add('requests without an answer')
        throw error
      } finally {
        underWay.delete(sent)
      }
    },
    inFlightSince: (time) => [...underWay].filter(({ since }) => since < time),
  }
}
