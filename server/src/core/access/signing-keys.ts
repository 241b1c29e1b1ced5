/**
 * The keys that sign registry tokens. They live in the database, sealed, so that every process signs and verifies alike.
 * A key signs for `signingDays`, then only verifies until the last token that it signed has expired.
 */
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject, randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import type { Database } from '../../backends/db/database.ts'
import type { Clock } from '../../base/clock.ts'
import type { Sealer } from '../../base/seal.ts'

export interface SigningKey {
  readonly kid: string
  readonly privateKey: KeyObject
}

export interface SigningKeys {
  /** The newest key that may sign; made when there is none. */
  getSigningKey(): Promise<SigningKey>
  /** The public key of that name while it may verify. Only our own keys are ever looked at, never one from a token. */
  findVerificationKey(kid: string): Promise<KeyObject | undefined>
  /** Makes a new signing key at once; the older ones go on verifying. */
  rotate(): Promise<void>
}

const signingDays = 90
/** Longer than any token lives. */
const verifyingDays = 1
const dayMs = 86_400_000
/** How long a process trusts what it read of the table. */
const refreshMs = 60_000
/** How soon an unknown kid may make it read the table again. */
const unknownKidMs = 1_000

const generate = promisify(generateKeyPair)

interface LoadedKey extends SigningKey {
  readonly publicKey: KeyObject
  readonly retiresAt: number
  readonly expiresAt: number
}

export function createSigningKeys(db: Database, sealer: Sealer, clock: Clock): SigningKeys {
  let keys: readonly LoadedKey[] = []
  let loadedAt = Number.NEGATIVE_INFINITY

  async function load(): Promise<void> {
    const rows = await db.read((tables) =>
      tables.selectFrom('signing_keys').selectAll().orderBy('created_at', 'desc').execute(),
    )
    keys = rows.map((row) => {
      const known = keys.find((key) => key.kid === row.kid)
      if (known !== undefined && known.retiresAt === Date.parse(row.retires_at)) return known
      return {
        kid: row.kid,
        publicKey: createPublicKey({ key: JSON.parse(row.public_key), format: 'jwk' }),
        privateKey: createPrivateKey(sealer.open(row.sealed_private_key, context(row.kid))),
        retiresAt: Date.parse(row.retires_at),
        expiresAt: Date.parse(row.expires_at),
      }
    })
    loadedAt = clock.now()
  }

  async function refresh(maxAgeMs: number): Promise<void> {
    if (clock.now() - loadedAt >= maxAgeMs) await load()
  }

  const signing = () => keys.find((key) => key.retiresAt > clock.now())

  async function add(onlyIfNone: boolean): Promise<void> {
    const { publicKey, privateKey } = await generate('rsa', { modulusLength: 2048 })
    const now = clock.now()
    const kid = randomUUID()
    await db.write(async (tables) => {
      if (onlyIfNone) {
        const other = await tables
          .selectFrom('signing_keys')
          .where('retires_at', '>', new Date(now).toISOString())
          .select('kid')
          .executeTakeFirst()
        if (other !== undefined) return // another process was first
      }
      await tables.deleteFrom('signing_keys').where('expires_at', '<', new Date(now).toISOString()).execute()
      await tables
        .insertInto('signing_keys')
        .values({
          kid,
          algorithm: 'RS256',
          public_key: JSON.stringify(publicKey.export({ format: 'jwk' })),
          sealed_private_key: sealer.seal(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(), context(kid)),
          created_at: new Date(now).toISOString(),
          retires_at: new Date(now + signingDays * dayMs).toISOString(),
          expires_at: new Date(now + (signingDays + verifyingDays) * dayMs).toISOString(),
        })
        .execute()
    })
    await load()
  }

  return {
    async getSigningKey() {
      await refresh(refreshMs)
      if (signing() === undefined) await add(true)
      const key = signing()
      if (key === undefined) throw new Error('no key signs tokens')
      return key
    },
    async findVerificationKey(kid) {
      const find = () => keys.find((key) => key.kid === kid && key.expiresAt > clock.now())
      await refresh(find() === undefined ? unknownKidMs : refreshMs)
      return find()?.publicKey
    },
    rotate: () => add(false),
  }
}

const context = (kid: string) => `signing_keys/${kid}`
