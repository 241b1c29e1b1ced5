/** Uploads that a full disk has stopped in the middle go on when there is room again. */
import { type Client, sha256 } from '../client.ts'
import { type HalfDone, type Kept, keyOf } from './kept.ts'

export async function resumeHalfDone(client: Client, kept: Kept): Promise<void> {
  for (const upload of kept.halfDone.splice(0)) {
    const problem = await resume(client, kept, upload)
    if (problem !== undefined) kept.problems.push(`an upload that met the full disk: ${problem}`)
  }
}

async function resume(client: Client, kept: Kept, upload: HalfDone): Promise<string | undefined> {
  const { repository, location, bytes, acknowledged } = upload
  const status = await client.ask('GET', location)
  if (status.status !== 204) return `GET ${location} is ${status.status}, after ${acknowledged} acknowledged bytes`
  const last = Number(String(status.headers.range).split('-')[1])
  const offset = last === 0 && acknowledged === 0 ? 0 : last + 1 // `0-0` is one byte or none
  if (offset < acknowledged || offset > bytes.length) {
    return `${location} has ${offset} of ${bytes.length} bytes, ${acknowledged} of which were acknowledged`
  }
  const rest = bytes.subarray(offset)
  const digest = sha256(bytes)
  const end = await client.ask('PUT', `${location}?digest=${digest}`, rest.length === 0 ? {} : { body: rest })
  if (end.status !== 201)
    return `PUT ${location} at ${offset} is ${end.status} ${end.body.toString('utf8').slice(0, 300)}`
  kept.blobs.add(keyOf(repository, digest))
  kept.tally.add('uploads resumed')
  return undefined
}
