/** The same bytes from everybody at once; and one upload that is ended twice. */

import { begin, blobWays, type RivalBlob } from '../blob-ways.ts'
import { sha256 } from '../client.ts'
import { barrier, expect201, pickAt, type Round } from './round.ts'

export async function pushSameBlob(
  { random, clients, repositories, tally, wrong }: Round,
  bytes: Buffer,
): Promise<void> {
  const digest = sha256(bytes)
  const start = barrier(clients.length)
  await Promise.all(
    clients.map(async (client, index) => {
      const [way, push] = random.pick(Object.entries(blobWays))
      const blob: RivalBlob = { repository: pickAt(repositories, index), digest, bytes, go: start.opened }
      const reply = await push(client, blob, start.arrive)
      expect201(reply, `the push of a digest that others push too (${way})`, wrong)
      tally.add('rival pushes of a digest')
      tally.add(`rival pushes of a digest, ${way}`)
    }),
  )
  for (const [index, client] of clients.entries()) {
    const reply = await client.ask('GET', `/v2/${pickAt(repositories, index)}/blobs/${digest}`)
    if (reply.status !== 200 || !reply.body.equals(bytes)) wrong(`the blob is ${reply.status}, or has other bytes`)
  }
}

/** A client that repeats its last request before the first one is answered: one of them does it, both end well or clearly. */
export async function endOneUploadTwice({ clients, repositories, wrong }: Round, bytes: Buffer): Promise<void> {
  const [repository] = repositories
  const location = await begin(clients[0]!, repository)
  const start = barrier(2)
  const replies = await Promise.all(
    clients.slice(0, 2).map((client) => {
      start.arrive()
      return client.ask('PUT', `${location}?digest=${sha256(bytes)}`, { body: bytes, lastByteAfter: start.opened })
    }),
  )
  const statuses = replies.map(({ status }) => status)
  if (!statuses.includes(201)) wrong(`neither of two ends of one upload was taken: ${statuses.join(', ')}`)
  if (statuses.some((status) => ![201, 404, 409, 416].includes(status))) wrong(`two ends of one upload: ${statuses}`)
  const { status, body } = await clients[0]!.ask('GET', `/v2/${repository}/blobs/${sha256(bytes)}`)
  if (status !== 200 || !body.equals(bytes)) wrong(`after two ends of one upload the blob is ${status}`)
}
