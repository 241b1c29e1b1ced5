/**
 * Everything that can go wrong and is not a bug, named once, in our words, with typed detail.
 * A fault knows nothing of the wire: each plane owns one table from fault to status, code and message.
 */
import type { Digest } from '@berth/oci'
import type { Scope } from './scope.ts'

export type RegistryFaults = {
  /** Its bytes are not what was pushed, or not there. reason: what was found, for the log. */
  blobDamaged: { digest: Digest; reason: string }
  /** A manifest of the repository still names the blob. */
  blobInUse: { digest: Digest; manifest: string }
  blobUnknown: { digest: Digest }
  blobUploadInvalid: { session: string }
  blobUploadUnknown: { session: string }
  chunkOutOfOrder: { session: string; expectedOffset: number }
  digestInvalid: { value: string }
  digestMismatch: { expected: Digest; actual: Digest }
  manifestBlobsUnknown: { digests: readonly Digest[] }
  manifestInvalid: { reason: string }
  manifestNotAcceptable: { found: 'artifact' | 'index' | 'manifest' }
  manifestUnknown: { reference: string; repository: string }
  nameInvalid: { value: string }
  pageSizeInvalid: { value: string }
  /** `If-Match` or `If-None-Match` names another state than the one found. */
  preconditionFailed: { current: Digest | undefined }
  rangeInvalid: { value: string }
  /** A download that begins behind the blob's end. */
  rangeUnsatisfiable: { digest: Digest; size: number }
  repositoryUnknown: { repository: string }
  sizeInvalid: { expected: number; actual: number }
  tagInvalid: { value: string }
  tooManyTags: { limit: number }
  uploadBusy: { session: string }
}

export type AccessFaults = {
  /** Nothing shown, or what was shown is not (or no longer) good. `scopes`: what the request would have needed. */
  unauthenticated: { scopes: readonly Scope[]; reason?: 'tokenInvalid' }
  /** A good credential that does not reach far enough. */
  scopeInsufficient: { scopes: readonly Scope[] }
  /** Too many failed logins from this address or for this account. */
  loginsThrottled: { retryAfterSeconds: number }
  registryUnknown: { registry: string }
  grantUnsupported: { grantType: string }
  tokenRequestInvalid: { reason: string }
}

export type TransportFaults = {
  bodyTooLarge: { limitBytes: number }
  bodyTooSlow: { timeoutMs: number }
  clientGone: { bytesReceived: number }
  hostUnknown: { host: string }
  methodNotAllowed: { allow: readonly string[] }
  requestInvalid: { reason: string }
  routeUnknown: { path: string }
  unavailable: { retryAfterSeconds: number; reason: string }
}

export type Faults = RegistryFaults & AccessFaults & TransportFaults

/** code: the fault's name; detail: typed facts for messages and logs; cause: the original error, for the log only. */
export class Fault<C extends keyof Faults = keyof Faults> extends Error {
  override readonly name = 'Fault'
  readonly code: C
  readonly detail: Faults[C]

  constructor(code: C, detail: Faults[C], options?: ErrorOptions) {
    super(code, options)
    this.code = code
    this.detail = detail
  }
}

/** Narrows any thrown value to one fault: `if (isFault(error, 'blobUnknown')) error.detail.digest`. */
export function isFault<C extends keyof Faults>(error: unknown, code: C): error is Fault<C> {
  return error instanceof Fault && error.code === code
}
