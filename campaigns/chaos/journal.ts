/** What the server has promised to whom, and what was under way when it died. Kept by the clients, in memory. */

export interface Sent {
  readonly what: string
  readonly since: number
  outcome: 'under way' | 'answered' | 'lost'
}

export interface OpenUpload {
  readonly repository: string
  /** Of the newest answer. */
  readonly location: string
  readonly bytes: Buffer
  readonly digest: string
  /** Bytes of the last acknowledged chunk and all before it. */
  readonly acknowledged: number
  /** The closing PUT was sent and not answered. */
  readonly ending: boolean
  /** When a request to it got no answer, in milliseconds of `performance.now()`; undefined where none was under way. */
  readonly lostAt?: number
}

export interface Tag {
  readonly repository: string
  readonly name: string
  /** Where it points for sure, unless one of `possible` came after. */
  acknowledged: string | undefined
  /** Pushes without an answer since then. */
  possible: string[]
}

export interface Journal {
  readonly promised: { blobs: number; manifests: number; tags: number; megabytes: number }
  /** `repository@digest` of what was acknowledged, and in which round's tally it still has to be verified. */
  readonly blobs: Map<string, { readonly size: number; verified: boolean }>
  readonly manifests: Map<string, { readonly bytes: Buffer; verified: boolean }>
  readonly tags: Map<string, Tag>
  readonly openUploads: OpenUpload[]
  /** Sent, not answered: there or not there, but nothing in between. */
  readonly attemptedBlobs: Set<string>
  readonly attemptedManifests: Map<string, Buffer>
  readonly problems: string[]
  resumed: number
  unanswered: number
  carriedOut: number
  stranded: number
  /** Notes a request on its way; resolves or rejects as it does. */
  track<T>(what: string, request: Promise<T>): Promise<T>
  /** Requests that are under way and were sent before then. */
  inFlightSince(time: number): Sent[]
}

export function createJournal(): Journal {
  const underWay = new Set<Sent>()
  const journal: Journal = {
    promised: { blobs: 0, manifests: 0, tags: 0, megabytes: 0 },
    blobs: new Map(),
    manifests: new Map(),
    tags: new Map(),
    openUploads: [],
    attemptedBlobs: new Set(),
    attemptedManifests: new Map(),
    problems: [],
    resumed: 0,
    unanswered: 0,
    carriedOut: 0,
    stranded: 0,
    async track(what, request) {
      const sent: Sent = { what, since: performance.now(), outcome: 'under way' }
      underWay.add(sent)
      try {
        const result = await request
        sent.outcome = 'answered'
        return result
      } catch (error) {
        sent.outcome = 'lost'
        journal.unanswered++
        throw error
      } finally {
        underWay.delete(sent)
      }
    },
    inFlightSince: (time) => [...underWay].filter(({ since }) => since < time),
  }
  return journal
}

export const keyOf = (repository: string, content: string) => `${repository}@${content}`

export function splitKey(key: string): [repository: string, content: string] {
  const at = key.indexOf('@')
  return [key.slice(0, at), key.slice(at + 1)]
}
