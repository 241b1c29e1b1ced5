/** Bodies and heads that come in drops, or stop in the middle. */
import { bytesOf, type Case, type Category } from '../case.ts'
import type { Random } from '../random.ts'
import { ociManifest } from '../world.ts'

export const slow: Category = {
  name: 'slow',
  weight: 2,
  make(random, world): Case {
    const { repository } = world.a
    const text = Buffer.from(JSON.stringify({ schemaVersion: 2, junk: random.text(random.between(5, 60)) }))
    const manifest = bytesOf(world, {
      method: 'PUT',
      target: `/v2/${repository}/manifests/slow`,
      headers: [['Content-Type', ociManifest]],
      body: text,
    })
    const stopped = bytesOf(world, {
      method: random.pick(['PATCH', 'PUT']),
      target: world.takeSession(),
      headers: [['Content-Length', '100000']],
      body: random.bytes(random.between(1, 5000)),
    })
    const form = bytesOf(world, {
      ...{ method: 'POST', target: '/oauth2/token' },
      headers: [
        ['Content-Type', 'application/x-www-form-urlencoded'],
        ['Content-Length', '5000'],
      ],
      body: 'grant_type=password&username=',
    })
    const head = bytesOf(world, { target: '/v2/' })
    const hangUpMs = random.between(50, 600)
    return random.pick<() => Case>([
      () => ({
        title: 'a manifest in drops',
        send: drops(random, manifest),
        method: 'PUT',
        allowed: ['400 MANIFEST_INVALID'],
      }),
      () => ({ title: 'a head in drops', send: drops(random, head), method: 'GET', allowed: ['200'] }),
      () => ({
        title: 'half a head',
        send: [head.subarray(0, random.between(1, 40))],
        method: 'GET',
        allowed: [],
        hangUpMs,
      }),
      () => ({ title: 'half a manifest', send: [manifest.subarray(0, -3)], method: 'PUT', allowed: [], hangUpMs }),
      () => ({ title: 'half a chunk', send: [stopped], method: 'PATCH', allowed: ['400 DIGEST_INVALID'], hangUpMs }),
      () => ({ title: 'half a form', send: [form], method: 'POST', allowed: [], hangUpMs }),
      () => ({ title: 'nothing', send: [], method: 'GET', allowed: [], hangUpMs }),
    ])()
  },
}

function drops(random: Random, bytes: Buffer): (Buffer | number)[] {
  const parts: (Buffer | number)[] = []
  const size = Math.ceil(bytes.length / 20)
  for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size), random.between(1, 15))
  return parts
}
