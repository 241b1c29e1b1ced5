/** Tags: what is one, what is none, and what a push under it answers. */
import { type Category, caseOf } from '../case.ts'
import { ociManifest } from '../world.ts'
import { escaped } from './names.ts'

const oddities = [
  '.',
  '..',
  '.a',
  '-a',
  '_',
  '__',
  'a'.repeat(128),
  'a'.repeat(129),
  'A',
  'V1.0-rc_1',
  'a b',
  'a+b',
  'a\0',
  'a\n',
  'ä',
  'ａ',
  '🐳',
  'latest\u200b',
  '*',
  '%',
  '%2e',
  "';--",
  '$HOME',
  'a\\b',
  '@',
  'a@b',
  'v1?',
  'v1#',
  'K',
  'ſ',
  '0',
  '_catalog',
  '__proto__',
  `sha256-${'a'.repeat(64)}`,
  'null',
  'true',
  '\u202e',
  '~',
  '!',
  'a,b',
  '"',
  '<script>',
]

const isTag = (text: string) => /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/.test(text)

export const references: Category = {
  name: 'references',
  weight: 8,
  make(random, world) {
    const { repository, manifestBytes, tag: known } = world.a
    const alphabet = random.pick(['abcABC019', 'aA0._-', 'a.-', 'aé ', 'a*?'])
    const tag = random.chance(0.5) ? random.pick(oddities) : random.text(random.between(1, 140), alphabet)
    const title = `tag ${JSON.stringify(tag)}`
    const target = `/v2/${repository}/manifests/${escaped(tag)}`
    const invalid = ['400 TAG_INVALID'] as const
    const choice = random.integer(10)
    if (choice < 4) {
      const headers = [['Content-Type', ociManifest]] as const
      const allowed = isTag(tag) ? (['201'] as const) : invalid
      return caseOf(world, `push of ${title}`, { method: 'PUT', target, headers, body: manifestBytes }, allowed)
    }
    // Tags that another case pushed or deleted may or may not be there.
    if (choice === 4 && tag !== known) {
      const allowed = isTag(tag) ? (['202', '404 MANIFEST_UNKNOWN'] as const) : invalid
      return caseOf(world, `delete of ${title}`, { method: 'DELETE', target }, allowed)
    }
    if (choice === 5) {
      const query = `?tag=${encodeURIComponent(tag)}`
      const headers = [['Content-Type', ociManifest]] as const
      const byDigest = `/v2/${repository}/manifests/${world.a.manifest}${query}`
      const allowed = isTag(tag) ? (['201'] as const) : invalid
      return caseOf(
        world,
        `tag parameter ${title}`,
        { method: 'PUT', target: byDigest, headers, body: manifestBytes },
        allowed,
      )
    }
    const allowed = isTag(tag) ? (['200', '404 MANIFEST_UNKNOWN'] as const) : invalid
    return caseOf(world, title, { method: random.pick(['GET', 'HEAD']), target }, allowed)
  },
}
