/** `Authorization` headers that hold no bearer token. Each comes from another address, because failures are counted. */
import { type Case, type Category, caseOf, someLoopbackAddress } from '../case.ts'
import type { Random } from '../random.ts'
import { nullGuid, type World } from '../world.ts'

const encoded = (text: string | Buffer) => Buffer.from(text).toString('base64')

function anyAuthorization(random: Random, { username, password, tokenA }: World): string {
  const wrong = random.text(random.between(1, 40))
  return random.pick<() => string>([
    () => `Basic ${encoded(`${username}:${wrong}`)}`,
    () => `Basic ${encoded(`${username}:`)}`,
    () => `Basic ${encoded(`:${password}`)}`,
    () => `Basic ${encoded(`${username}x:${password}`)}`,
    () => `Basic ${encoded(`${username}:${password} `)}`,
    () => `Basic ${encoded(`${username}\0:${password}`)}`,
    () => `Basic ${encoded(`${username}:${password.slice(0, -1)}`)}`,
    () => `Basic ${encoded(username)}`,
    () => `Basic ${encoded(`${nullGuid}:${wrong}`)}`,
    () => `Basic ${encoded(`${nullGuid}:${tokenA}x`)}`,
    () => `Basic ${encoded(`${nullGuid.toUpperCase()}:`)}`,
    () => `Basic ${encoded(`${username}:${'x'.repeat(random.between(1000, 9000))}`)}`,
    () => `Basic ${encoded(`${'u'.repeat(random.between(1000, 9000))}:x`)}`,
    () => `Basic ${encoded(random.bytes(random.between(1, 400)))}`,
    () => `Basic ${encoded(`${username}:${password}`)}!`,
    () => `Basic ${encoded(`${username}:${password}`).replace(/=*$/, '====')}`,
    () => `Basic ${username}:${password}`,
    () => `Basic  `,
    () => 'Basic',
    () => 'Basic %',
    () => `Digest username="${username}"`,
    () => `Negotiate ${encoded(random.bytes(60))}`,
    () => `Basic ${encoded(`${username}:${wrong}`)}, Bearer ${tokenA}`,
    () => `Basic ${encoded(`'; drop table login_failures; --:x`)}`,
    () => `Basic ${encoded(`${username}:ſecret\u202e🐳`)}`,
    () => random.text(random.between(1, 200), 'abc :,="\\\u00e9'),
  ])()
}

export const basic: Category = {
  name: 'basic',
  weight: 5,
  make(random, world): Case {
    const { a, b, host } = world
    const authorization = anyAuthorization(random, world)
    const target = random.pick([
      '/v2/',
      `/v2/${a.repository}/manifests/v1`,
      `/v2/${b.repository}/blobs/${b.blob}`,
      '/v2/_catalog',
      `/oauth2/token?service=${host}&scope=repository:${b.repository}:pull`,
    ])
    return caseOf(
      world,
      `Authorization ${JSON.stringify(authorization.slice(0, 80))}`,
      { target, headers: [['Authorization', authorization]] },
      ['401 UNAUTHORIZED', '429 TOOMANYREQUESTS'],
      { from: someLoopbackAddress(random) },
    )
  },
}
