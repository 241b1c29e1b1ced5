/** Uploads that the end of the server has left half done go on where it says. */
import { type Client, sha256 } from '../client.ts'
import type { Journal, OpenUpload } from './journal.ts'
import { openBlob, settleBlob } from './model.ts'

/** At once, although a killed process was writing to them: the first process of a server frees what its predecessors held. */
export async function resumeUploads(client: Client, journal: Journal): Promise<string[]> {
  const problems = await Promise.all(journal.openUploads.splice(0).map((upload) => resume(client, journal, upload)))
  return problems.filter((problem) => problem !== undefined)
}

async function resume(client: Client, journal: Journal, upload: OpenUpload): Promise<string | undefined> {
  const { repository, location, bytes, digest, acknowledged, last } = upload
  const status = await client.ask('GET', location)
  // It ended after all: as a blob, which the look at the blobs has found, or by being cancelled.
  if (status.status === 404 && last !== 'chunk') return undefined
  if (status.status !== 204) return `GET ${location}: ${status.status}, after ${acknowledged} bytes were acknowledged`
  const offset = offsetOf(String(status.headers.range), acknowledged)
  if (offset < acknowledged) return `${location} has ${offset} bytes of ${acknowledged} acknowledged ones`
  if (offset > bytes.length) return `${location} has ${offset} bytes of ${bytes.length}`
  const rest = bytes.subarray(offset)
  const options = rest.length === 0 ? {} : { body: rest, headers: { 'content-range': `${offset}-${bytes.length - 1}` } }
  openBlob(repository, digest, bytes.length)
  const end = await client.ask('PUT', `${location}?digest=${digest}`, options)
  // Its bytes may have become the blob before the rows were written; then the upload begins anew.
  if (end.status === 404 && last === 'end') return undefined
  if (end.status !== 201)
    return `PUT ${location} at ${offset}: ${end.status} ${end.body.toString('utf8').slice(0, 300)}`
  settleBlob(repository, digest, 'there')
  journal.tally.add('uploads resumed')
  const { status: found, body } = await client.ask('GET', `/v2/${repository.name}/blobs/${digest}`)
  if (found === 404 && journal.collecting) return undefined
  if (found !== 200) return `the blob of the resumed upload ${location} is ${found}`
  return sha256(body) === digest ? undefined : `the blob of the resumed upload ${location} has other bytes`
}

/** `0-0` is one byte or none; what was acknowledged tells which. */
function offsetOf(range: string, acknowledged: number): number {
  const last = Number(range.split('-')[1])
  return last === 0 && acknowledged === 0 ? 0 : last + 1
}
