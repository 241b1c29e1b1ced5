/**
 * S3 and what speaks like it. Credentials come the way the SDK finds them: environment, files, web identity, instance role.
 * The SDK is loaded with the first store that is opened, because it takes longer to load than the rest of the server.
 */
import type { Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
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

export interface S3Options {
  readonly bucket: string
  /** What every key begins with: empty, or names that each end with a slash. */
  readonly prefix: string
  /** Absent: Amazon's own. */
  readonly endpoint?: string | undefined
  /** Absent: the SDK looks for it as for credentials; with an endpoint of one's own, `us-east-1`. */
  readonly region?: string | undefined
  /** `https://endpoint/bucket/key` in place of `https://bucket.endpoint/key`. */
  readonly pathStyle?: boolean
  /** For tests; a server finds its own. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string }
  readonly limits?: Partial<ObjectLimits>
}

const mebibyte = 1 << 20

const s3Limits: ObjectLimits = {
  partBytes: 8 * mebibyte,
  minPartBytes: 5 * mebibyte,
  // S3 allows 5 GiB, but a copy of that takes longer than any request should.
  maxCopyBytes: 256 * mebibyte,
  maxParts: 10_000,
}

const contentType = 'application/octet-stream'

/** Does not look whether the bucket is there. */
export async function openS3BlobStore(options: S3Options & ObjectBlobStoreOptions): Promise<BlobStore> {
  return new ObjectBlobStore(await openS3(options), options)
}

export async function openS3(options: S3Options): Promise<ObjectStore> {
  const sdk = await import('@aws-sdk/client-s3')
  const { endpoint, credentials, pathStyle = false } = options
  const region = options.region ?? (endpoint === undefined ? undefined : 'us-east-1')
  const client = new sdk.S3Client({
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
    forcePathStyle: pathStyle,
    maxAttempts: 1, // `object-retries.ts` has the patience
    // Every part is signed with its sha256, which the store checks; many that are not Amazon's know no further checksums.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    // A slow reader keeps its connection: no number of them may keep the others waiting.
    requestHandler: {
      connectionTimeout: 5_000,
      httpAgent: { maxSockets: Number.POSITIVE_INFINITY },
      httpsAgent: { maxSockets: Number.POSITIVE_INFINITY },
    },
  })
  return new S3Objects(sdk, client, options)
}

class S3Objects implements ObjectStore {
  readonly limits: ObjectLimits
  readonly #sdk: typeof import('@aws-sdk/client-s3')
  readonly #client: S3Client
  readonly #bucket: string
  readonly #prefix: string

  constructor(sdk: typeof import('@aws-sdk/client-s3'), client: S3Client, { bucket, prefix, limits }: S3Options) {
    this.limits = { ...s3Limits, ...limits }
    this.#sdk = sdk
    this.#client = client
    this.#bucket = bucket
    this.#prefix = prefix
  }

  async put(key: string, bytes: Uint8Array, sha256: string | undefined, abortSignal: AbortSignal): Promise<void> {
    const command = new this.#sdk.PutObjectCommand({ ...this.#at(key), Body: bytes, ContentType: contentType })
    if (sha256 !== undefined) {
      command.middlewareStack.add(
        (next) => (call) => {
          const { headers } = call.request as { headers: Record<string, string> }
          headers['x-amz-content-sha256'] = sha256 // saves the signer from hashing once more
          return next(call)
        },
        { step: 'build', name: 'knownSha256' },
      )
    }
    await told('PutObject', this.#client.send(command, { abortSignal }))
  }

  async get(key: string, range: ByteRange | undefined, abortSignal: AbortSignal): Promise<ObjectBody | undefined> {
    const header = range && { Range: `bytes=${range.start}-${range.end}` }
    const command = new this.#sdk.GetObjectCommand({ ...this.#at(key), ...header })
    const answer = await orMissing('GetObject', this.#client.send(command, { abortSignal }))
    return answer && { size: answer.ContentLength ?? 0, bytes: answer.Body as Readable }
  }

  async stat(key: string, abortSignal: AbortSignal): Promise<{ readonly size: number } | undefined> {
    const command = new this.#sdk.HeadObjectCommand(this.#at(key))
    const answer = await orMissing('HeadObject', this.#client.send(command, { abortSignal }))
    return answer && { size: answer.ContentLength ?? 0 }
  }

  async delete(key: string, abortSignal: AbortSignal): Promise<void> {
    const command = new this.#sdk.DeleteObjectCommand(this.#at(key))
    await orMissing('DeleteObject', this.#client.send(command, { abortSignal }))
  }

  async list(
    prefix: string,
    { after, page }: { after?: string; page?: string },
    abortSignal: AbortSignal,
  ): Promise<Page<ObjectEntry>> {
    const command = new this.#sdk.ListObjectsV2Command({
      Bucket: this.#bucket,
      Prefix: this.#prefix + prefix,
      StartAfter: after === undefined ? undefined : this.#prefix + after,
      ContinuationToken: page,
    })
    const {
      Contents = [],
      IsTruncated,
      NextContinuationToken,
    } = await told('ListObjectsV2', this.#client.send(command, { abortSignal }))
    const entries = Contents.map(({ Key = '', Size = 0, LastModified }) => ({
      key: this.#own(Key),
      size: Size,
      modifiedAt: LastModified?.getTime() ?? 0,
    }))
    return { entries, next: IsTruncated ? NextContinuationToken : undefined }
  }

  async copy(source: string, target: string, abortSignal: AbortSignal): Promise<void> {
    const command = new this.#sdk.CopyObjectCommand({ ...this.#at(target), CopySource: this.#source(source) })
    await told('CopyObject', this.#client.send(command, { abortSignal }))
  }

  async begin(key: string, abortSignal: AbortSignal): Promise<Multipart> {
    const command = new this.#sdk.CreateMultipartUploadCommand({ ...this.#at(key), ContentType: contentType })
    const { UploadId } = await told('CreateMultipartUpload', this.#client.send(command, { abortSignal }))
    if (UploadId === undefined) throw new ObjectStoreError('other', 'CreateMultipartUpload: no upload id came back')
    return { key, id: UploadId }
  }

  async putPart({ key, id }: Multipart, number: number, bytes: Uint8Array, abortSignal: AbortSignal): Promise<string> {
    const at = { ...this.#at(key), UploadId: id, PartNumber: number }
    const command = new this.#sdk.UploadPartCommand({ ...at, Body: bytes })
    const { ETag } = await told('UploadPart', this.#client.send(command, { abortSignal }))
    return tagOf('UploadPart', ETag)
  }

  async copyPart(
    { key, id }: Multipart,
    number: number,
    source: string,
    { start, end }: ByteRange,
    abortSignal: AbortSignal,
  ): Promise<string> {
    const command = new this.#sdk.UploadPartCopyCommand({
      ...this.#at(key),
      UploadId: id,
      PartNumber: number,
      CopySource: this.#source(source),
      CopySourceRange: `bytes=${start}-${end}`,
    })
    const { CopyPartResult } = await told('UploadPartCopy', this.#client.send(command, { abortSignal }))
    return tagOf('UploadPartCopy', CopyPartResult?.ETag)
  }

  async complete({ key, id }: Multipart, parts: readonly string[], abortSignal: AbortSignal): Promise<void> {
    const command = new this.#sdk.CompleteMultipartUploadCommand({
      ...this.#at(key),
      UploadId: id,
      MultipartUpload: { Parts: parts.map((ETag, index) => ({ ETag, PartNumber: index + 1 })) },
    })
    await told('CompleteMultipartUpload', this.#client.send(command, { abortSignal }))
  }

  async abandon({ key, id }: Multipart, abortSignal: AbortSignal): Promise<void> {
    const command = new this.#sdk.AbortMultipartUploadCommand({ ...this.#at(key), UploadId: id })
    await orMissing('AbortMultipartUpload', this.#client.send(command, { abortSignal }))
  }

  async listUnfinished(
    prefix: string,
    page: string | undefined,
    abortSignal: AbortSignal,
  ): Promise<Page<UnfinishedObject>> {
    const [KeyMarker, UploadIdMarker] = page === undefined ? [] : (JSON.parse(page) as [string, string])
    const command = new this.#sdk.ListMultipartUploadsCommand({
      Bucket: this.#bucket,
      Prefix: this.#prefix + prefix,
      KeyMarker,
      UploadIdMarker,
    })
    const answer = await told('ListMultipartUploads', this.#client.send(command, { abortSignal }))
    const entries = (answer.Uploads ?? []).map(({ Key = '', UploadId = '', Initiated }) => ({
      key: this.#own(Key),
      id: UploadId,
      begunAt: Initiated?.getTime() ?? 0,
    }))
    const { IsTruncated, NextKeyMarker, NextUploadIdMarker } = answer
    return { entries, next: IsTruncated ? JSON.stringify([NextKeyMarker, NextUploadIdMarker]) : undefined }
  }

  async link(key: string, ttlSeconds: number): Promise<URL> {
    const { getSignedUrl } = await import('@aws-sdk/s3-request-presigner')
    const command = new this.#sdk.GetObjectCommand(this.#at(key))
    return new URL(await told('link', getSignedUrl(this.#client, command, { expiresIn: ttlSeconds })))
  }

  dispose(): void {
    this.#client.destroy()
  }

  #at(key: string) {
    return { Bucket: this.#bucket, Key: this.#prefix + key }
  }

  #source(key: string): string {
    return `${this.#bucket}/${this.#prefix}${key}`.split('/').map(encodeURIComponent).join('/')
  }

  #own(key: string): string {
    return key.slice(this.#prefix.length)
  }
}

function tagOf(operation: string, tag: string | undefined): string {
  if (tag === undefined) throw new ObjectStoreError('other', `${operation}: no ETag came back`)
  return tag
}

/** The object, or the upload; a bucket that is not there is an error. */
const { told, orMissing } = createTelling(
  errorOf,
  ({ trouble, message }) => (trouble === 'missing' || trouble === 'lost') && !message.includes('NoSuchBucket'),
)

const troubles: Readonly<Record<string, ObjectTrouble>> = {
  NoSuchUpload: 'lost',
  InvalidPart: 'lost',
  NoSuchKey: 'missing',
  NotFound: 'missing',
  NoSuchBucket: 'missing',
  InvalidRange: 'outside',
  // Said with 400: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
  RequestTimeout: 'unreachable',
  ExpiredToken: 'denied',
  InvalidToken: 'denied',
  CredentialsProviderError: 'denied',
  TokenProviderError: 'denied',
  QuotaExceeded: 'full',
  XMinioStorageFull: 'full',
}

function errorOf(operation: string, error: unknown): Error {
  if (!(error instanceof Error)) return new ObjectStoreError('other', `${operation}: ${String(error)}`)
  const { $metadata } = error as { $metadata?: { httpStatusCode?: number } }
  const status = $metadata?.httpStatusCode
  const named = troubles[error.name]
  if (status === undefined) {
    const code = networkTrouble(error)
    if (code !== undefined) return new ObjectStoreError('unreachable', `${operation}: ${code}`)
    return named ? new ObjectStoreError(named, `${operation}: ${error.message}`) : error
  }
  return new ObjectStoreError(named ?? troubleOf(status), `${operation}: ${error.name} (${status}): ${error.message}`)
}
