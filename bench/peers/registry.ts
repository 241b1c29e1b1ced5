/** What the measurements need of a registry, whichever it is. One file a kind beside this one. */
import type { ManyManifests, ManyRepositories } from '../seed/data-sets.ts'

export interface RegistryKind {
  /** Berth's is `berth`. */
  readonly name: string
  /** One line for the results: how it was started. */
  readonly configuration: string
  /** What of a push is on the disk when it is acknowledged; a power cut takes the rest. */
  readonly syncs: 'all of it' | 'some of it' | 'nothing'
  /** Measured in cases that write only: a variant of another kind that differs in nothing else. */
  readonly writesOnly?: boolean
  /** Filled after its start instead of before. */
  readonly filledRunning?: boolean
  /** Looks for the program, and installs it where that is possible. */
  find(): Promise<FoundProgram | { readonly missing: string }>
}

export interface FoundProgram {
  readonly version: string
  /** A store in an empty folder that need not exist; not started. */
  open(folder: string): Promise<Registry>
}

export interface Registry {
  readonly kind: RegistryKind
  /** All that it stores is in it. */
  readonly folder: string
  /** `http://127.0.0.1:<port>`. */
  readonly url: string
  /** The same over TLS, where it is served. */
  readonly tlsUrl?: string
  /** Where a user name and a password are needed. */
  readonly credentials?: { readonly username: string; readonly password: string }
  /** The process group of the started program; undefined while it is not running. */
  readonly group: number | undefined
  /** The value of the Authorization header for requests to these repositories; undefined where none is needed. */
  authorize(access: Access): Promise<string | undefined>
  /** Spawns the program and waits until `GET /v2/` is answered. */
  start(): Promise<void>
  /** Nothing when it is not running. */
  stop(): Promise<void>
  /** The two fill a store, much faster than by requests; it is not running meanwhile unless its kind says so. */
  seedManifests(many: ManyManifests): Promise<void>
  seedRepositories(many: ManyRepositories): Promise<void>
}

export interface Access {
  readonly repositories?: readonly string[]
  readonly actions?: 'pull' | 'pull,push'
  readonly catalog?: boolean
  /** The password itself in place of a token. */
  readonly password?: boolean
  /** Nobody's token, where the registry allows that. */
  readonly anonymous?: boolean
}
