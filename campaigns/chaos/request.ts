/** A request whose answers are known, and what its sender thinks of any other one. */
import type { AskOptions, Reply } from '../client.ts'
import type { Pusher } from './pusher.ts'

export class UnexpectedAnswer extends Error {}

/** Rejects with what Node says when there is no answer, and with `UnexpectedAnswer` when it is another one. */
export async function ask(
  { client, journal }: Pick<Pusher, 'client' | 'journal'>,
  method: string,
  path: string,
  allowed: readonly number[],
  options?: AskOptions,
): Promise<Reply> {
  const what = `${method} ${path}`
  const reply = await journal.track(what, client.ask(method, path, options))
  if (allowed.includes(reply.status)) return reply
  const text = reply.body.toString('utf8').slice(0, 300)
  throw new UnexpectedAnswer(`${what}: ${reply.status}, not ${allowed.join(' or ')}: ${text}`)
}
