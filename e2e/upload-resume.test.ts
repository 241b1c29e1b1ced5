/** No client resumes uploads by itself; these stories do what the specification lets one do. */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import type { Berth } from './berth.ts'
import { randomBytesOf, sha256 } from './images.ts'
import { type Answer, ask, closing, getBlob, startUpload } from './registry.ts'
import { storiesWith } from './story.ts'

const story = storiesWith([])
const mebibyte = 1 << 20

story('PATCH in chunks › cut in the middle, the upload goes on where GET says', async ({ berth }) => {
  const bytes = randomBytesOf('resume', 8 * mebibyte)
  let upload = await startUpload(berth, 'resume/cut')
  upload = locationOf(await patch(berth, upload, bytes, 0, 2 * mebibyte))
  await patchCut(berth, upload, bytes, 2 * mebibyte, 6 * mebibyte, 3 * mebibyte)
  // The server may still be taking in what was on its way when the connection broke: then the offset it told moves on,
  // a chunk at the old one is answered with 416, and a client asks again.
  for (let resumed = false; !resumed; ) {
    const { offset, location } = await statusOf(berth, upload)
    assert.ok(offset >= 2 * mebibyte && offset <= 5 * mebibyte, `offset ${offset}`)
    const answer = await patchAny(berth, location, bytes.subarray(offset), offset)
    resumed = answer.status === 202
    assert.ok(resumed || answer.status === 416, `PATCH at ${offset}: ${answer.status} ${answer.body}`)
    upload = locationOf(answer)
  }
  await finish(berth, upload, 'resume/cut', bytes)
})

story('PATCH of a chunk that skips or repeats bytes › 416, and the upload is still good', async ({ berth }) => {
  const bytes = randomBytesOf('order', 3 * mebibyte)
  let upload = await startUpload(berth, 'resume/order')
  upload = locationOf(await patch(berth, upload, bytes, 0, mebibyte))
  for (const wrong of [0, 2 * mebibyte]) {
    const answer = await patchAny(berth, upload, bytes.subarray(wrong, wrong + 65_536), wrong)
    assert.equal(answer.status, 416, `chunk at ${wrong}: ${answer.body}`)
  }
  const { offset, location } = await statusOf(berth, upload)
  assert.equal(offset, mebibyte)
  await finish(berth, locationOf(await patch(berth, location, bytes, offset, bytes.length)), 'resume/order', bytes)
})

story('PATCH in chunks › a server that was killed goes on where it was', async ({ berth }) => {
  const bytes = randomBytesOf('power cut', 8 * mebibyte)
  const first = locationOf(await patch(berth, await startUpload(berth, 'resume/kill'), bytes, 0, 4 * mebibyte))
  await berth.kill()
  await berth.restart()
  const { offset, location } = await statusOf(berth, first)
  assert.equal(offset, 4 * mebibyte, 'an acknowledged chunk is kept')
  const last = locationOf(await patch(berth, location, bytes, offset, bytes.length))
  await berth.kill()
  await berth.restart()
  await finish(berth, last, 'resume/kill', bytes)
  await berth.kill()
  await berth.restart()
  assert.ok((await getBlob(berth, 'resume/kill', sha256(bytes))).equals(bytes), 'an acknowledged blob is kept')
})

story('PUT with another digest › 400, and no blob of that digest', async ({ berth }) => {
  const bytes = randomBytesOf('mismatch', mebibyte)
  const upload = locationOf(await patch(berth, await startUpload(berth, 'resume/mismatch'), bytes, 0, bytes.length))
  const claimed = sha256(Buffer.from('something else'))
  const answer = await ask(berth, 'PUT', closing(upload, claimed))
  assert.equal(answer.status, 400, String(answer.body))
  assert.match(answer.body.toString('utf8'), /DIGEST_INVALID/)
  assert.equal((await ask(berth, 'HEAD', `/v2/resume/mismatch/blobs/${claimed}`)).status, 404)
})

story('DELETE of an upload › the session is gone', async ({ berth }) => {
  const bytes = randomBytesOf('cancel', mebibyte)
  const upload = locationOf(await patch(berth, await startUpload(berth, 'resume/cancel'), bytes, 0, bytes.length))
  assert.equal((await ask(berth, 'DELETE', upload)).status, 204)
  assert.equal((await ask(berth, 'GET', upload)).status, 404)
  assert.equal((await ask(berth, 'PUT', closing(upload, sha256(bytes)))).status, 404)
})

const patchAny = (berth: Berth, upload: string, chunk: Buffer, offset: number): Promise<Answer> =>
  ask(berth, 'PATCH', upload, { headers: chunkHeaders(offset, chunk.length), body: chunk })

const chunkHeaders = (offset: number, length: number) => ({
  'content-type': 'application/octet-stream',
  'content-range': `${offset}-${offset + length - 1}`,
})

async function patch(berth: Berth, upload: string, bytes: Buffer, from: number, to: number): Promise<Answer> {
  const answer = await patchAny(berth, upload, bytes.subarray(from, to), from)
  assert.equal(answer.status, 202, `PATCH ${from}-${to - 1}: ${answer.body}`)
  assert.equal(answer.headers.range, `0-${to - 1}`)
  return answer
}

/** Announces the bytes of `from` to `to`, sends some of them and cuts the connection. */
async function patchCut(berth: Berth, upload: string, bytes: Buffer, from: number, to: number, sent: number) {
  const url = new URL(upload, `http://${berth.host}`)
  const credential = Buffer.from(`${berth.username}:${berth.password}`).toString('base64')
  const cut = request(url, {
    method: 'PATCH',
    headers: {
      authorization: `Basic ${credential}`,
      'content-length': String(to - from),
      ...chunkHeaders(from, to - from),
    },
  })
  const closed = new Promise<void>((resolve) => cut.on('close', () => resolve()))
  cut.on('error', () => {}) // our own doing
  await new Promise<void>((resolve, reject) =>
    cut.write(bytes.subarray(from, from + sent), (error) => (error ? reject(error) : resolve())),
  )
  cut.destroy()
  await closed
}

/** Where the upload stands. */
async function statusOf(berth: Berth, upload: string): Promise<{ offset: number; location: string }> {
  const answer = await ask(berth, 'GET', upload)
  assert.equal(answer.status, 204, `GET ${upload}: ${answer.body}`)
  const last = /^0-(\d+)$/.exec(answer.headers.range ?? '')?.[1]
  assert.ok(last, `Range: ${answer.headers.range}`)
  return { offset: Number(last) + 1, location: locationOf(answer) }
}

async function finish(berth: Berth, upload: string, repository: string, bytes: Buffer): Promise<void> {
  const digest = sha256(bytes)
  const answer = await ask(berth, 'PUT', closing(upload, digest))
  assert.equal(answer.status, 201, `PUT: ${answer.body}`)
  assert.equal(answer.headers['docker-content-digest'], digest)
  assert.ok((await getBlob(berth, repository, digest)).equals(bytes))
}

function locationOf({ headers }: Answer): string {
  assert.ok(headers.location)
  return headers.location
}
