import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { formatBlobsUrl, parseBlobsUrl } from './blobs-url.ts'

const s3 = { kind: 's3', bucket: 'bucket', prefix: '', endpoint: undefined, region: undefined, pathStyle: false }
const azure = { kind: 'azure-blob', account: 'account', container: 'container', prefix: '', endpoint: undefined }

describe('the address of an object store', () => {
  test('names a bucket, a prefix and where the bucket is', () => {
    const endpoint = 'https://storage.example.com:9000'
    assert.deepEqual(parseBlobsUrl('s3://bucket'), s3)
    assert.deepEqual(parseBlobsUrl('s3://bucket/'), s3)
    assert.deepEqual(parseBlobsUrl('s3://bucket/team/berth/?region=eu-central-1'), {
      ...s3,
      prefix: 'team/berth/',
      region: 'eu-central-1',
    })
    // Who names an endpoint has no name for every bucket below it, as a rule.
    assert.deepEqual(parseBlobsUrl(`s3://bucket?endpoint=${endpoint}`), { ...s3, endpoint, pathStyle: true })
    assert.deepEqual(parseBlobsUrl(`s3://bucket?endpoint=${endpoint}&path-style=no`), { ...s3, endpoint })
    assert.deepEqual(parseBlobsUrl('s3://bucket?path-style=yes'), { ...s3, pathStyle: true })
  })

  test('names an account, a container and a prefix', () => {
    const endpoint = 'http://127.0.0.1:10000/account'
    assert.deepEqual(parseBlobsUrl('azure-blob://account/container'), azure)
    assert.deepEqual(parseBlobsUrl(`azure-blob://account/container/a/b?endpoint=${encodeURIComponent(endpoint)}`), {
      ...azure,
      prefix: 'a/b/',
      endpoint,
    })
  })

  test('is written as it was read, without what goes without saying', () => {
    for (const text of [
      's3://bucket',
      's3://bucket/team/berth?region=eu-central-1',
      's3://bucket?endpoint=https%3A%2F%2Fstorage.example.com&region=x&path-style=no',
      's3://bucket?path-style=yes',
      'azure-blob://account/container/a',
      'azure-blob://account/container?endpoint=http%3A%2F%2F127.0.0.1%3A10000%2Faccount',
    ]) {
      const parsed = parseBlobsUrl(text)
      assert.ok(typeof parsed !== 'string', parsed as string)
      assert.equal(formatBlobsUrl(parsed), text)
    }
  })

  test('is refused with a sentence that tells no secret', () => {
    const form = 'must be a URL like s3://bucket/prefix or azure-blob://account/container/prefix'
    const credentials = "must hold no credentials: they come from the environment, files or the machine's identity"
    const cases: Record<string, string> = {
      bucket: form,
      'https://bucket': form,
      's3:bucket': form,
      's3://': 'must name a bucket: s3://bucket/prefix',
      's3://key:secret@bucket': credentials,
      'azure-blob://:secret@account/container': credentials,
      's3://bucket?secret=1': 'has the parameter "secret", which is not known; known are endpoint, region, path-style',
      'azure-blob://account/container?region=x': 'has the parameter "region", which is not known; known are endpoint',
      's3://bucket/a%20b': 'must be a URL like s3://bucket/prefix, with names of letters, digits, ".", "_" and "-"',
      's3://bucket/.hidden': 'must be a URL like s3://bucket/prefix, with names of letters, digits, ".", "_" and "-"',
      's3://bucket:9000': 'must be a URL like s3://bucket/prefix, with names of letters, digits, ".", "_" and "-"',
      's3://bucket?endpoint=storage.example.com': 'must have an endpoint like https://storage.example.com',
      's3://bucket?endpoint=https://key:secret@storage.example.com':
        'must have an endpoint like https://storage.example.com',
      's3://bucket?region=EU': 'must have a region like eu-central-1',
      's3://bucket?path-style=maybe': 'must have yes or no as its path-style',
      'azure-blob://account': 'must name a container: azure-blob://account/container/prefix',
      'azure-blob://account/Container': 'must name a container: azure-blob://account/container/prefix',
      'azure-blob://My-Account/container': 'must name a storage account: azure-blob://account/container/prefix',
    }
    for (const [text, mistake] of Object.entries(cases)) assert.equal(parseBlobsUrl(text), mistake, text)
  })
})
