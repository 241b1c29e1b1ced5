/** `Range` on downloads and `Content-Range` on upload chunks. */
import { type Allowed, type Case, type Category, caseOf } from '../case.ts'
import type { Random } from '../random.ts'
import { type Answer, headerOf } from '../wire.ts'
import type { World } from '../world.ts'

export const ranges: Category = {
  name: 'ranges',
  weight: 9,
  make: (random, world) => (random.chance(0.5) ? download(random, world) : chunk(random, world)),
}

const oddRanges = [
  'bytes=',
  'bytes=-',
  'bytes',
  'bytes=a-b',
  'bytes=1',
  '17-',
  'items=0-5',
  'bytes=--1',
  'bytes=0-0,-1',
  'bytes=5-2',
  'bytes=-0',
  'bytes=0x10-0x20',
  'bytes=1e3-',
  'bytes=0-18446744073709551616',
  'bytes=99999999999999999999-',
  'bytes=-99999999999999999999',
  'bytes=NaN-',
  'bytes=0-5;q=1',
  'bytes=0-5, 3-7',
  'BYTES=0-1',
  'bytes =0-1',
  'bytes=+1-2',
]

function download(random: Random, world: World): Case {
  const { repository, blob, blobBytes: whole } = world.a
  const size = whole.length
  const at = () => random.pick([0, 1, random.integer(size), size - 1, size, size + 1, random.integer(2 ** 40)])
  const range = random.pick<() => string>([
    () => `bytes=${at()}-${at()}`,
    () => `bytes=${at()}-`,
    () => `bytes=-${at()}`,
    () =>
      `bytes=${Array.from({ length: random.between(2, 1000) }, (_, index) => `${index}-`)
        .join(',')
        .slice(0, 12_000)}`,
    () => `bytes=${'0-,'.repeat(random.between(1000, 4000))}0-`,
    () => random.pick(oddRanges),
    () => random.text(random.between(1, 60), '0123456789-,=bytes '),
  ])()
  // Whatever is asked for, an answer is the whole, the part that it says it is, or 416.
  const check = ({ status, headers, body }: Answer): string | undefined => {
    if (status === 416) return undefined
    if (status === 200) return body.equals(whole) ? undefined : 'not the blob'
    const stated = headers.find(([name]) => name === 'content-range')?.[1] ?? ''
    const [, start, end, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(stated) ?? []
    if (Number(total) !== size) return `Content-Range ${stated}`
    return body.equals(whole.subarray(Number(start), Number(end) + 1)) ? undefined : `not the bytes of ${stated}`
  }
  const target = `/v2/${repository}/blobs/${blob}`
  const allowed = wanted(range, size)
  return caseOf(world, `Range ${range.slice(0, 80)}`, { target, headers: [['Range', range]] }, allowed, { check })
}

/** RFC 9110 §14 for one range; anything else is ignored. "end before start" is malformed there, and 416 to OCI's suite. */
function wanted(range: string, size: number): readonly Allowed[] {
  const found = /^bytes=(\d*)-(\d*)$/.exec(range)
  if (found === null) return ['200', '206', '416 RANGE_INVALID']
  const [, first = '', last = ''] = found
  if (first === '' && last === '') return ['200']
  if (`${first}${last}`.length > 15) return ['200', '206', '416 RANGE_INVALID']
  if (first === '') return Number(last) === 0 ? ['416 RANGE_INVALID'] : ['206']
  if (Number(first) >= size) return ['416 RANGE_INVALID']
  return last !== '' && Number(last) < Number(first) ? ['416 RANGE_INVALID', '200'] : ['206']
}

function chunk(random: Random, world: World): Case {
  const body = random.bytes(random.between(1, 2000))
  const { length } = body
  const method = 'PATCH'
  const target = world.takeSession()
  const send = (range: string, allowed: readonly Allowed[], more: { check?: Case['check'] } = {}) =>
    caseOf(
      world,
      `Content-Range ${range.slice(0, 80)} with ${length} bytes`,
      { method, target, headers: [['Content-Range', range]], body },
      allowed,
      more as Pick<Case, 'check'>,
    )
  const atTruth = (answer: Answer) =>
    headerOf(answer, 'location') === target && headerOf(answer, 'range') === '0-0' ? undefined : 'no true offset'
  return random.pick<() => Case>([
    () => send(`0-${length - 1}`, ['202']),
    () => send(`bytes 0-${length - 1}/${length}`, ['202']),
    () => send(`${random.between(1, 5000)}-${random.between(5001, 9000)}`, ['416 RANGE_INVALID'], { check: atTruth }),
    () => send(`0-${length + random.between(0, 100)}`, ['400 SIZE_INVALID']),
    () => send(`0-${length + 2 ** 40}`, ['400 SIZE_INVALID']),
    () => send(`0-${Math.max(0, length - 1 - random.between(1, 50))}`, length > 1 ? ['400 SIZE_INVALID'] : ['202']),
    () => send(`${length}-0`, length > 0 ? ['416 RANGE_INVALID'] : ['202']),
    () =>
      send(random.pick(['', '-', 'a-b', '0', '0-', '-5', '0--1', '0-1-2', '+0-5', '0x0-0x5', '0-1e3', '* / 5']), [
        '416 RANGE_INVALID',
      ]),
    () => send(`0-${'9'.repeat(random.between(16, 60))}`, ['416 RANGE_INVALID', '400 SIZE_INVALID']),
    () => send(`${'9'.repeat(random.between(10, 60))}-${'9'.repeat(61)}`, ['416 RANGE_INVALID']),
  ])()
}
