/** Digests that are none, or of other algorithms, or of somebody else's bytes. */
import { type Allowed, type Category, caseOf } from '../case.ts'
import type { Random } from '../random.ts'
import type { World } from '../world.ts'
import { escaped } from './names.ts'

const hex = '0123456789abcdef'

const isDigest = (text: string) => /^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/.test(text)

function anyDigest(random: Random, { a, b }: World): string {
  const good = `sha256:${random.text(64, hex)}`
  return random.pick<() => string>([
    () => good,
    () => b.blob,
    () => b.manifest,
    () => b.config,
    () => `sha512:${random.text(128, hex)}`,
    () => `sha256:${random.text(random.between(0, 130), hex)}`,
    () => `sha512:${random.text(64, hex)}`,
    () =>
      `${random.pick(['md5', 'sha1', 'sha384', 'sha3-256', 'blake3', 'SHA256', 'sha256+b64', ''])}:${random.text(64, hex)}`,
    () => a.blob.toUpperCase().replace('SHA256', 'sha256'),
    () => a.blob.replace(':', '::'),
    () => a.blob.replace(':', ' :'),
    () => `${a.blob}\n`,
    () => ` ${a.blob}`,
    () => `${a.blob}\0`,
    () => `${a.blob}%00`,
    () => a.blob.replace(/[0-9a-f]$/, 'g'),
    () => a.blob.replace('sha256:', 'sha256:..'),
    () => `sha256:${'.'.repeat(64)}`,
    () => `sha256:..\\..\\${random.text(58, hex)}`,
    () => `sha256:${random.text(63, hex)}０`,
    () => `ｓha256:${random.text(64, hex)}`,
    () => `${a.blob},${b.blob}`,
    () => `${a.blob}:${b.blob}`,
    () => `sha256:${random.text(3000, hex)}`,
  ])()
}

export const digests: Category = {
  name: 'digests',
  weight: 10,
  make(random, world) {
    const digest = anyDigest(random, world)
    const { repository } = world.a
    const title = `digest ${JSON.stringify(digest.slice(0, 90))}`
    const path = escaped(digest)
    const when = (known: readonly Allowed[]): readonly Allowed[] => (isDigest(digest) ? known : ['400 DIGEST_INVALID'])
    const unknownBlob = when(['404 BLOB_UNKNOWN'])
    const unknownManifest = when(['404 MANIFEST_UNKNOWN'])
    const choice = random.integer(7)
    if (choice === 0) return caseOf(world, title, { target: `/v2/${repository}/referrers/${path}` }, when(['200']))
    if (choice === 1) {
      const method = 'POST'
      return caseOf(
        world,
        `${title} for other bytes`,
        {
          method,
          target: `/v2/${repository}/blobs/uploads/?digest=${encodeURIComponent(digest)}`,
          body: 'other bytes',
        },
        ['400 DIGEST_INVALID'],
      )
    }
    if (choice === 2) {
      const target = `${world.takeSession()}?digest=${encodeURIComponent(digest)}`
      return caseOf(world, `${title} at the end`, { method: 'PUT', target, body: 'other bytes' }, [
        '400 DIGEST_INVALID',
      ])
    }
    if (choice === 3) {
      const headers = [['Content-Type', 'application/vnd.oci.image.manifest.v1+json']] as const
      return caseOf(
        world,
        `${title} of a manifest`,
        { method: 'PUT', target: `/v2/${repository}/manifests/${path}`, headers, body: world.a.manifestBytes },
        // Text without a colon would be a tag; none of these is.
        ['400 DIGEST_INVALID'],
      )
    }
    if (choice === 4) {
      const method = random.pick(['GET', 'HEAD', 'DELETE'])
      return caseOf(world, title, { method, target: `/v2/${repository}/manifests/${path}` }, unknownManifest)
    }
    const method = random.pick(['GET', 'HEAD', 'DELETE'])
    return caseOf(world, title, { method, target: `/v2/${repository}/blobs/${path}` }, unknownBlob)
  },
}
