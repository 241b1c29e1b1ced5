/**
 * Azure Blob Storage: block blobs in one container. Parts are staged blocks; copies are made by the service itself, which
 * reads the source through a link that is signed for it. The SDK is loaded with the first store that is opened.
 */
import { randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { ContainerClient, StorageSharedKeyCredential, UserDelegationKey } from '@azure/storage-blob'
import { findAzureCredentials } from './azure-credentials.ts'
import type { BlobStore, ByteRange } from './blob-store.ts'
import { ObjectBlobStore, type ObjectBlobStoreOptions } from './object-blob-store.ts'
import {
  createTelling,
  type Multipart,
  networkTrouble,
  type ObjectBody,
  type ObjectEntry,
  type ObjectLimits,
  type ObjectStore,
  ObjectStoreError,
  type ObjectTrouble,
  type Page,
  troubleOf,
  type UnfinishedObject,
} from './object-store.ts'

export interface AzureBlobOptions {
  readonly account: string
  readonly container: string
  /** What every name begins with: empty, or names that each end with a slash. */
  readonly prefix: string
  /** Of the account's blob service; absent: `https://<account>.blob.core.windows.net`. */
  readonly endpoint?: string | undefined
  /** Where the credentials are looked for; see `azure-credentials.ts`. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly limits?: Partial<ObjectLimits>
}

type Sdk = typeof import('@azure/storage-blob')

const mebibyte = 1 << 20

/** The service would take 50,000 blocks of any size, and copy 256 MiB in one call. */
const azureLimits: ObjectLimits = {
  partBytes: 8 * mebibyte,
  minPartBytes: 5 * mebibyte,
  maxCopyBytes: 256 * mebibyte,
  maxParts: 50_000,
}

const blobHTTPHeaders = { blobContentType: 'application/octet-stream' }
/** How long the service may take until it has read the source of a copy. */
const copyLinkSeconds = 15 * 60
/** A clock that is behind ours must not find a link that is not good yet. */
const skewMs = 5 * 60_000
const delegationMs = 24 * 3_600_000

/** Does not look whether the container is there. */
export async function openAzureBlobStore(options: AzureBlobOptions & ObjectBlobStoreOptions): Promise<BlobStore> {
  return new ObjectBlobStore(await openAzureBlob(options), options)
}

export async function openAzureBlob(options: AzureBlobOptions): Promise<ObjectStore> {
  const sdk = await import('@azure/storage-blob')
  const { account, container, endpoint = `https://${account}.blob.core.windows.net` } = options
  const credentials = findAzureCredentials(options.env ?? process.env)
  const key = credentials.kind === 'key' ? new sdk.StorageSharedKeyCredential(account, credentials.key) : undefined
  const credential = key ?? (credentials.kind === 'token' ? { getToken: credentials.getToken } : undefined)
  const retryOptions = { maxTries: 1 } // `object-retries.ts` has the patience
  const service = new sdk.BlobServiceClient(endpoint, credential, { retryOptions })
  const signer = key ?? new DelegatedSigner((start, end) => service.getUserDelegationKey(start, end), account)
  return new AzureObjects(sdk, service.getContainerClient(container), signer, options)
}

class AzureObjects implements ObjectStore {
  readonly limits: ObjectLimits
  readonly #sdk: Sdk
  readonly #container: ContainerClient
  readonly #signer: StorageSharedKeyCredential | DelegatedSigner
  readonly #prefix: string

  constructor(
    sdk: Sdk,
    container: ContainerClient,
    signer: StorageSharedKeyCredential | DelegatedSigner,
    { prefix, limits }: AzureBlobOptions,
  ) {
    this.limits = { ...azureLimits, ...limits }
    this.#sdk = sdk
    this.#container = container
    this.#signer = signer
    this.#prefix = prefix
  }

  async put(key: string, bytes: Uint8Array, _sha256: string | undefined, abortSignal: AbortSignal): Promise<void> {
    await told('Put Blob', this.#blob(key).upload(bytes, bytes.length, { blobHTTPHeaders, abortSignal }))
  }

  async get(key: string, range: ByteRange | undefined, abortSignal: AbortSignal): Promise<ObjectBody | undefined> {
    const count = range && range.end - range.start + 1
    const options = { abortSignal, maxRetryRequests: 0 }
    const answer = await orMissing('Get Blob', this.#blob(key).download(range?.start, count, options))
    return answer && { size: answer.contentLength ?? 0, bytes: answer.readableStreamBody as Readable }
  }

  async stat(key: string, abortSignal: AbortSignal): Promise<{ readonly size: number } | undefined> {
    const answer = await orMissing('Get Blob Properties', this.#blob(key).getProperties({ abortSignal }))
    return answer && { size: answer.contentLength ?? 0 }
  }

  async delete(key: string, abortSignal: AbortSignal): Promise<void> {
    await orMissing('Delete Blob', this.#blob(key).delete({ deleteSnapshots: 'include', abortSignal }))
  }

  async list(
    prefix: string,
    { after, page }: { after?: string; page?: string },
    abortSignal: AbortSignal,
  ): Promise<Page<ObjectEntry>> {
    const startFrom = after === undefined ? {} : { startFrom: this.#prefix + after }
    const pages = this.#container
      .listBlobsFlat({ prefix: this.#prefix + prefix, ...startFrom, abortSignal })
      .byPage({ maxPageSize: 1_000, ...(page === undefined ? {} : { continuationToken: page }) })
    const { value } = await told('List Blobs', pages.next())
    const items: ReadonlyArray<{ name: string; properties: { contentLength?: number; lastModified: Date } }> =
      value?.segment.blobItems ?? []
    const entries = items
      .map(({ name, properties }) => ({
        key: name.slice(this.#prefix.length),
        size: properties.contentLength ?? 0,
        modifiedAt: properties.lastModified.getTime(),
      }))
      .filter(({ key }) => after === undefined || key > after)
    return { entries, next: value?.continuationToken || undefined }
  }

  async copy(source: string, target: string, abortSignal: AbortSignal): Promise<void> {
    const from = await told('link', this.link(source, copyLinkSeconds))
    await told('Copy Blob From URL', this.#blob(target).syncCopyFromURL(from.href, { abortSignal }))
  }

  /** Nothing to say to the service: blocks wait under a name until they are committed, and are dropped after a week. */
  async begin(key: string): Promise<Multipart> {
    return { key, id: randomBytes(8).toString('hex') }
  }

  async putPart(multipart: Multipart, number: number, bytes: Uint8Array, abortSignal: AbortSignal): Promise<string> {
    const block = blockId(multipart, number)
    await told('Put Block', this.#blob(multipart.key).stageBlock(block, bytes, bytes.length, { abortSignal }))
    return block
  }

  async copyPart(
    multipart: Multipart,
    number: number,
    source: string,
    { start, end }: ByteRange,
    abortSignal: AbortSignal,
  ): Promise<string> {
    const block = blockId(multipart, number)
    const from = await told('link', this.link(source, copyLinkSeconds))
    const target = this.#blob(multipart.key)
    const staged = target.stageBlockFromURL(block, from.href, start, end - start + 1, { abortSignal })
    await told('Put Block From URL', staged)
    return block
  }

  async complete({ key }: Multipart, parts: readonly string[], abortSignal: AbortSignal): Promise<void> {
    await told('Put Block List', this.#blob(key).commitBlockList([...parts], { blobHTTPHeaders, abortSignal }))
  }

  async abandon(): Promise<void> {}

  async listUnfinished(): Promise<Page<UnfinishedObject>> {
    return { entries: [] }
  }

  async link(key: string, ttlSeconds: number): Promise<URL> {
    const { url } = this.#blob(key)
    const { BlobSASPermissions, generateBlobSASQueryParameters, SASProtocol } = this.#sdk
    const now = Date.now()
    const values = {
      containerName: this.#container.containerName,
      blobName: this.#prefix + key,
      permissions: BlobSASPermissions.parse('r'),
      startsOn: new Date(now - skewMs),
      expiresOn: new Date(now + ttlSeconds * 1_000),
      protocol: url.startsWith('https:') ? SASProtocol.Https : SASProtocol.HttpsAndHttp,
    }
    const signature =
      this.#signer instanceof DelegatedSigner
        ? generateBlobSASQueryParameters(values, await this.#signer.key(now), this.#signer.account)
        : generateBlobSASQueryParameters(values, this.#signer)
    return new URL(`${url}?${signature}`)
  }

  dispose(): void {}

  #blob(key: string) {
    return this.#container.getBlockBlobClient(this.#prefix + key)
  }
}

/** Signs with a key that the service lends to an identity that has no key of the account. */
class DelegatedSigner {
  readonly account: string
  readonly #ask: (start: Date, end: Date) => Promise<UserDelegationKey>
  #lent: { readonly key: Promise<UserDelegationKey>; readonly until: number } | undefined

  constructor(ask: (start: Date, end: Date) => Promise<UserDelegationKey>, account: string) {
    this.#ask = ask
    this.account = account
  }

  /** Good for half a day at least. */
  key(now: number): Promise<UserDelegationKey> {
    if (this.#lent === undefined || this.#lent.until < now + delegationMs / 2) {
      const until = now + delegationMs
      const key = told('Get User Delegation Key', this.#ask(new Date(now - skewMs), new Date(until)))
      const lent = { key, until }
      this.#lent = lent
      key.catch(() => {
        if (this.#lent === lent) this.#lent = undefined
      })
    }
    return this.#lent.key
  }
}

/** Those of one blob must be of the same length; those of two uploads to one name must differ. */
const blockId = ({ id }: Multipart, number: number) =>
  Buffer.from(`${id}-${String(number).padStart(6, '0')}`).toString('base64')

/** A container that is not there is an error. */
const { told, orMissing } = createTelling(
  errorOf,
  ({ trouble, message }) => trouble === 'missing' && !message.includes('ContainerNotFound'),
)

/** https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes */
const troubles: Readonly<Record<string, ObjectTrouble>> = {
  BlobNotFound: 'missing',
  ContainerNotFound: 'missing',
  InvalidBlockList: 'lost',
  InvalidRange: 'outside',
  ContainerBeingDeleted: 'unreachable',
  OperationTimedOut: 'unreachable',
  AccountIsDisabled: 'denied',
}

function errorOf(operation: string, error: unknown): Error {
  if (error instanceof ObjectStoreError || !(error instanceof Error)) return error as Error
  const { statusCode: status, code = '' } = error as { statusCode?: number; code?: string }
  if (status === undefined) {
    const network = networkTrouble(error) ?? (code === 'REQUEST_SEND_ERROR' ? code : undefined)
    return network === undefined ? error : new ObjectStoreError('unreachable', `${operation}: ${network}`)
  }
  const [firstLine = ''] = error.message.split('\n')
  return new ObjectStoreError(troubles[code] ?? troubleOf(status), `${operation}: ${code} (${status}): ${firstLine}`)
}
