/**
 * Looks into a registry beside the client under test, with plain requests: what a client says it pushed is checked
 * against the bytes that the registry gives.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import type { Berth } from './berth.ts'
import { contentsOf, type Image, type Index, sha256 } from './images.ts'

export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: Buffer
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** Plain HTTP instead of TLS. */
  readonly plain?: boolean
  readonly anonymous?: boolean
}

const manifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ')

/** One request with the registry user's password, each on its own connection. Bodies are held in memory. */
export function ask(berth: Berth, method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
  const credential = Buffer.from(`${berth.username}:${berth.password}`).toString('base64')
  const url = new URL(path, `${options.plain ? 'http' : 'https'}://${berth.host}`)
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'http:' ? http : https).request(url, {
      method,
      agent: false,
      ca: readFileSync(berth.ca),
      headers: {
        ...(options.anonymous ? {} : { authorization: `Basic ${credential}` }),
        ...(options.body ? { 'content-length': String(options.body.length) } : {}),
        ...options.headers,
      },
    })
    request.on('error', reject)
    request.on('response', (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(parts) }),
      )
    })
    request.end(options.body)
  })
}

export interface StoredManifest {
  readonly digest: string
  readonly bytes: Buffer
  readonly mediaType: string
  readonly json: {
    readonly config?: { readonly digest: string }
    readonly layers?: readonly { readonly digest: string; readonly size: number; readonly mediaType: string }[]
    readonly manifests?: readonly { readonly digest: string; readonly artifactType?: string }[]
    readonly subject?: { readonly digest: string }
    readonly artifactType?: string
    readonly annotations?: Readonly<Record<string, string>>
  }
}

/** `undefined` when the registry says 404. Checks that the digest header tells the digest of the bytes. */
export async function findManifest(
  berth: Berth,
  repository: string,
  reference: string,
): Promise<StoredManifest | undefined> {
  const path = `/v2/${repository}/manifests/${reference}`
  const { status, headers, body } = await ask(berth, 'GET', path, { headers: { accept: manifestTypes } })
  if (status === 404) return undefined
  assert.equal(status, 200, `GET ${path}: ${body}`)
  assert.equal(headers['docker-content-digest'], sha256(body), `Docker-Content-Digest of GET ${path}`)
  return {
    digest: sha256(body),
    bytes: body,
    mediaType: headers['content-type'] ?? '',
    json: JSON.parse(body.toString('utf8')) as StoredManifest['json'],
  }
}

export async function getManifest(berth: Berth, repository: string, reference: string): Promise<StoredManifest> {
  const manifest = await findManifest(berth, repository, reference)
  assert.ok(manifest, `no manifest ${repository}:${reference}`)
  return manifest
}

/** The blob's bytes, from wherever the registry sends us for them; checked against the digest. */
export async function getBlob(berth: Berth, repository: string, digest: string): Promise<Buffer> {
  const path = `/v2/${repository}/blobs/${digest}`
  let answer = await ask(berth, 'GET', path)
  if (answer.status === 307) answer = await ask(berth, 'GET', answer.headers.location!, { anonymous: true })
  assert.equal(answer.status, 200, `GET ${path}`)
  assert.equal(sha256(answer.body), digest, `bytes of GET ${path}`)
  return answer.body
}

/** Sorted by the registry; an unknown repository has none. */
export async function listTags(berth: Berth, repository: string): Promise<readonly string[]> {
  const { status, body } = await ask(berth, 'GET', `/v2/${repository}/tags/list`)
  if (status === 404) return []
  assert.equal(status, 200, `tags of ${repository}: ${body}`)
  return (JSON.parse(body.toString('utf8')) as { tags: readonly string[] | null }).tags ?? []
}

export async function listReferrers(
  berth: Berth,
  repository: string,
  digest: string,
): Promise<readonly { readonly digest: string; readonly artifactType?: string }[]> {
  const { status, body } = await ask(berth, 'GET', `/v2/${repository}/referrers/${digest}`)
  assert.equal(status, 200, `referrers of ${digest}: ${body}`)
  return (JSON.parse(body.toString('utf8')) as StoredManifest['json']).manifests ?? []
}

/** That the repository holds this image or index, byte for byte: every manifest, config and layer. */
export async function assertHolds(
  berth: Berth,
  repository: string,
  reference: string,
  expected: Image | Index,
): Promise<void> {
  const stored = await getManifest(berth, repository, reference)
  assert.equal(stored.digest, expected.manifest.descriptor.digest, `digest of ${repository}:${reference}`)
  for (const { bytes, descriptor } of contentsOf(expected)) {
    const found = /manifest|index/.test(descriptor.mediaType)
      ? (await getManifest(berth, repository, descriptor.digest)).bytes
      : await getBlob(berth, repository, descriptor.digest)
    assert.ok(found.equals(bytes), `${descriptor.mediaType} ${descriptor.digest} in ${repository}`)
  }
}

/** Puts an image there without any client, for stories that begin with something to pull. */
export async function pushImage(berth: Berth, repository: string, tag: string, root: Image | Index): Promise<void> {
  for (const { bytes, descriptor } of contentsOf(root)) {
    const isManifest = /manifest|index/.test(descriptor.mediaType)
    const reference = descriptor === root.manifest.descriptor ? tag : descriptor.digest
    if (isManifest) await pushManifest(berth, repository, reference, descriptor.mediaType, bytes)
    else await pushBlob(berth, repository, bytes)
  }
}

export async function pushManifest(
  berth: Berth,
  repository: string,
  reference: string,
  mediaType: string,
  bytes: Buffer,
): Promise<void> {
  const path = `/v2/${repository}/manifests/${reference}`
  const { status, body } = await ask(berth, 'PUT', path, { headers: { 'content-type': mediaType }, body: bytes })
  assert.equal(status, 201, `PUT ${path}: ${body}`)
}

export async function pushBlob(berth: Berth, repository: string, bytes: Buffer): Promise<void> {
  const upload = await startUpload(berth, repository)
  const { status, body } = await ask(berth, 'PUT', closing(upload, sha256(bytes)), {
    headers: { 'content-type': 'application/octet-stream' },
    body: bytes,
  })
  assert.equal(status, 201, `PUT of a blob to ${repository}: ${body}`)
}

/** The path of a new upload session. */
export async function startUpload(berth: Berth, repository: string): Promise<string> {
  const { status, headers, body } = await ask(berth, 'POST', `/v2/${repository}/blobs/uploads/`)
  assert.equal(status, 202, `POST ${repository}/blobs/uploads/: ${body}`)
  return headers.location!
}

export const closing = (upload: string, digest: string): string =>
  `${upload}${upload.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`
