/** What each fault is called on `/v2`. Texts are those that ACR's and distribution's clients know. */
import type { RegistryFaults } from '../../base/fault.ts'
import { commonErrors, type WireErrors } from '../../http/wire-error.ts'
import { uploadHeaders } from './upload-headers.ts'

const digestRefused = 'provided digest did not match uploaded content'

const unknown = {
  status: 404,
  code: 'BLOB_UNKNOWN',
  message: 'blob unknown to registry',
  detail: ({ digest }: RegistryFaults['blobUnknown']) => ({ digest }),
}

const registryErrors: WireErrors<RegistryFaults> = {
  // So that the client pushes it again.
  blobDamaged: unknown,
  blobInUse: {
    status: 405,
    code: 'UNSUPPORTED',
    message: ({ manifest }) => `the blob is part of the manifest ${manifest}; delete that first`,
    detail: ({ digest, manifest }) => ({ digest, manifest }),
  },
  blobUnknown: unknown,
  blobUploadInvalid: { status: 404, code: 'BLOB_UPLOAD_INVALID', message: 'blob upload invalid' },
  blobUploadUnknown: { status: 404, code: 'BLOB_UPLOAD_UNKNOWN', message: 'blob upload unknown to registry' },
  chunkOutOfOrder: {
    status: 416,
    code: 'RANGE_INVALID',
    message: 'invalid content range',
    headers: ({ session, expectedOffset }, request) => uploadHeaders(request.rawPath, session, expectedOffset),
  },
  digestInvalid: {
    status: 400,
    code: 'DIGEST_INVALID',
    message: digestRefused,
    detail: ({ value }) => ({ digest: value.slice(0, 256), reason: 'not a sha256 or sha512 digest' }),
  },
  digestMismatch: {
    status: 400,
    code: 'DIGEST_INVALID',
    message: digestRefused,
    detail: ({ expected, actual }) => ({ expected, actual }),
  },
  manifestBlobsUnknown: {
    status: 400,
    code: 'MANIFEST_BLOB_UNKNOWN',
    message: 'blob unknown to registry',
    // Enough to see what is wrong; each is an error of its own.
    details: ({ digests }) => digests.slice(0, 100),
  },
  manifestInvalid: {
    status: 400,
    code: 'MANIFEST_INVALID',
    message: 'manifest invalid',
    detail: ({ reason }) => reason,
  },
  // 404 as distribution and ACR say it: to this client, the manifest is not there.
  manifestNotAcceptable: {
    status: 404,
    code: 'MANIFEST_UNKNOWN',
    message: ({ found }) => {
      const plural = { artifact: 'artifacts', index: 'indexes', manifest: 'manifests' }[found]
      return `OCI ${found} found, but accept header does not support OCI ${plural}`
    },
  },
  manifestUnknown: {
    status: 404,
    code: 'MANIFEST_UNKNOWN',
    message: ({ reference }) =>
      reference.includes(':') ? `manifest ${reference} is not found` : `manifest tagged by "${reference}" is not found`,
    detail: ({ repository, reference }) => ({ name: repository, reference }),
  },
  nameInvalid: {
    status: 400,
    code: 'NAME_INVALID',
    message: 'invalid repository name',
    detail: ({ value }) => ({ name: value.slice(0, 256) }),
  },
  pageSizeInvalid: {
    status: 400,
    code: 'PAGINATION_NUMBER_INVALID',
    message: 'invalid number of results requested',
    detail: ({ value }) => ({ n: value.slice(0, 64) }),
  },
  preconditionFailed: {
    status: 412,
    code: 'DENIED',
    message: 'the precondition of the request does not hold',
    detail: ({ current }) => ({ current: current ?? null }),
  },
  rangeInvalid: { status: 416, code: 'RANGE_INVALID', message: 'invalid content range' },
  rangeUnsatisfiable: {
    status: 416,
    code: 'RANGE_INVALID',
    message: 'the range lies outside the blob',
    detail: ({ size }) => ({ size }),
    headers: ({ digest, size }) => ({
      'Docker-Content-Digest': digest,
      'Accept-Ranges': 'bytes',
      'Content-Range': `bytes */${size}`,
    }),
  },
  repositoryUnknown: {
    status: 404,
    code: 'NAME_UNKNOWN',
    message: 'repository name not known to registry',
    detail: ({ repository }) => ({ name: repository }),
  },
  sizeInvalid: {
    status: 400,
    code: 'SIZE_INVALID',
    message: 'provided length did not match content length',
    detail: ({ expected, actual }) => ({ expected, actual }),
  },
  tagInvalid: {
    status: 400,
    code: 'TAG_INVALID',
    message: 'invalid tag name',
    detail: ({ value }) => ({ tag: value.slice(0, 256) }),
  },
  tooManyTags: {
    status: 414,
    code: 'TAG_INVALID',
    message: ({ limit }) => `at most ${limit} tags can be pushed at once`,
  },
  uploadBusy: {
    status: 409,
    code: 'BLOB_UPLOAD_INVALID',
    message: 'another request is writing to this upload',
  },
}

export const distributionErrors = { ...commonErrors, ...registryErrors }
