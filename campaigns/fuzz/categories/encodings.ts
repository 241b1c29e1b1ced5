/** Percent signs and bytes above ASCII in the path. */
import { type Allowed, type Category, caseOf } from '../case.ts'
import { isName } from './names.ts'

const pieces = [
  '%2e%2e',
  '%2E%2e',
  '..',
  '%252e%252e',
  '%c0%ae%c0%ae',
  '%c0%af',
  '%e0%80%ae',
  '%f0%80%80%ae',
  '%ff',
  '%fe%ff',
  '%00',
  '%0d%0a',
  '%0a',
  '%09',
  '%20',
  '%7f',
  '%80',
  '%u002e',
  '%',
  '%2',
  '%zz',
  '%%',
  '%25',
  '%2f',
  '%2F',
  '%5c',
  '%3a',
  '%40',
  '%c3%a4',
  '%e4',
  '%ed%a0%80',
  '%f4%90%80%80',
  '%e2%80%ae',
  '%ef%bb%bf',
  '%61',
  '%41',
  'a',
  'a1',
  'b',
  '+',
  '%2b',
  '%23',
  '%3f',
  '%26',
  ';',
  '%3b',
]

export const encodings: Category = {
  name: 'encodings',
  weight: 8,
  make(random, world) {
    const { repository, blob, manifest } = world.a
    if (random.chance(0.15)) {
      // Both spellings are one path.
      const everything = [...repository].map((letter) => `%${letter.charCodeAt(0).toString(16)}`).join('')
      const name = random.pick([repository.replace('/', '%2F'), repository.replace('/', '%2f'), everything])
      const target = random.pick([
        `/v2/${name}/blobs/${blob.replace(':', '%3A')}`,
        `/v2/${name}/manifests/${manifest.replace(':', '%3a')}`,
      ])
      return caseOf(world, `encoded ${target.slice(0, 40)}`, { method: random.pick(['GET', 'HEAD']), target }, ['200'])
    }
    const raw = Array.from({ length: random.between(1, 5) }, () => random.pick(pieces)).join(random.pick(['', '', '/']))
    let allowed: readonly Allowed[]
    try {
      const name = decodeURIComponent(raw)
      // A name that ends or begins with a slash may also miss the route.
      allowed = isName(name) ? ['401 UNAUTHORIZED'] : ['400 NAME_INVALID']
    } catch {
      allowed = ['400 UNSUPPORTED']
    }
    const bytes = random.chance(0.1)
    const target = `/v2/${bytes ? `\u00e4\u00ff${raw}` : raw}/manifests/v1`
    // Bytes above ASCII need no encoding for Node's parser; they are in no name.
    if (bytes) allowed = ['400']
    return caseOf(world, `path ${target}`, { target }, allowed)
  },
}
