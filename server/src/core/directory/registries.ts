/** Registries themselves: their switches and the admin user's passwords. */
import { hash, randomBytes } from 'node:crypto'
import type { Database } from '../../backends/db/database.ts'
import { fixedQuery } from '../../backends/db/fixed-query.ts'
import type { RegistryPasswordsTable } from '../../backends/db/tables/registry-passwords.ts'
import { BoundedCache } from '../../base/bounded-cache.ts'
import type { Clock } from '../../base/clock.ts'
import type { Sealer } from '../../base/seal.ts'
import { timestamp } from '../../base/timestamp.ts'

export type Sku = 'Basic' | 'Standard' | 'Premium'
export type PasswordName = 'password' | 'password2'

export interface RegistrySettings {
  readonly sku: Sku
  readonly adminUserEnabled: boolean
  readonly anonymousPullEnabled: boolean
  /** Whether manifests may name layers and children that are not there. */
  readonly sparseManifestsEnabled: boolean
}

export interface RegistryRecord extends RegistrySettings {
  readonly name: string
}

export interface Password {
  readonly name: PasswordName
  readonly value: string
  /** SHA-256 of it, to compare with: equally long for every guess. */
  readonly digest: Buffer
}

export interface Registries {
  /** name: lower case. */
  findRegistry(name: string): Promise<RegistryRecord | undefined>
  listRegistries(): Promise<RegistryRecord[]>
  /** Makes a registry with two fresh admin passwords; false when the name is taken. */
  createRegistry(name: string, settings: RegistrySettings): Promise<boolean>
  /** Effective for every request that begins after it resolves; false when there is no such registry. */
  updateRegistry(name: string, changes: Partial<RegistrySettings>): Promise<boolean>
  /** The admin user's passwords, `password` first; empty when there is no such registry. */
  listPasswords(name: string): Promise<Password[]>
  /** Replaces one password; the other stays good. Undefined when there is no such registry. */
  regeneratePassword(name: string, password: PasswordName): Promise<string | undefined>
}

const columns = ['name', 'sku', 'admin_user_enabled', 'anonymous_pull_enabled', 'sparse_manifests_enabled'] as const

const registryByName = fixedQuery<{ readonly name: string }>()((db, param) =>
  db.selectFrom('registries').where('name', '=', param('name')).select(columns),
)

const passwordsOf = fixedQuery<{ readonly name: string }>()((db, param) =>
  db
    .selectFrom('registry_passwords')
    .innerJoin('registries', 'registries.id', 'registry_passwords.registry_id')
    .where('registries.name', '=', param('name'))
    .select(['registry_passwords.registry_id', 'registry_passwords.name', 'registry_passwords.sealed'])
    .orderBy('registry_passwords.name'),
)

type PasswordRow = Pick<RegistryPasswordsTable, 'registry_id' | 'name' | 'sealed'>

/** Two for each registry. */
const rememberedPasswords = 256

export function createRegistries(db: Database, sealer: Sealer, clock: Clock): Registries {
  const sealed = (registryId: number, name: PasswordName, value: string) =>
    sealer.seal(value, context(registryId, name))

  /** What was read is kept by its row and sealed form: a password that was replaced has another one. */
  const known = new BoundedCache<string, Password>(rememberedPasswords)

  function opened({ registry_id, name, sealed }: PasswordRow): Password {
    const owner = context(registry_id, name)
    const key = `${owner} ${Buffer.from(sealed).toString('latin1')}`
    const remembered = known.get(key)
    if (remembered !== undefined) return remembered
    const value = sealer.open(sealed, owner)
    const password = { name, value, digest: hash('sha256', value, 'buffer') }
    known.set(key, password)
    return password
  }

  async function findRegistry(name: string): Promise<RegistryRecord | undefined> {
    const [row] = await db.select(registryByName, { name })
    return row === undefined ? undefined : recordOf(row)
  }

  return {
    findRegistry,

    async listRegistries() {
      const rows = await db.read((tables) => tables.selectFrom('registries').select(columns).orderBy('name').execute())
      return rows.map(recordOf)
    },

    async createRegistry(name, settings) {
      return db.write(async (tables) => {
        const now = timestamp(clock)
        const made = await tables
          .insertInto('registries')
          .values({ name, created_at: now, ...rowOf(settings) })
          .onConflict((conflict) => conflict.column('name').doNothing())
          .returning('id')
          .executeTakeFirst()
        if (made === undefined) return false
        for (const password of passwordNames) {
          await tables
            .insertInto('registry_passwords')
            .values({
              registry_id: made.id,
              name: password,
              sealed: sealed(made.id, password, freshPassword()),
              created_at: now,
            })
            .execute()
        }
        return true
      })
    },

    async updateRegistry(name, changes) {
      const values = rowOf(changes)
      if (Object.keys(values).length === 0) return (await findRegistry(name)) !== undefined
      const result = await db.write((tables) =>
        tables.updateTable('registries').set(values).where('name', '=', name).executeTakeFirst(),
      )
      return result.numUpdatedRows > 0n
    },

    async listPasswords(name) {
      const rows = await db.select(passwordsOf, { name })
      return rows.map(opened)
    },

    async regeneratePassword(name, password) {
      return db.write(async (tables) => {
        const registry = await tables.selectFrom('registries').where('name', '=', name).select('id').executeTakeFirst()
        if (registry === undefined) return undefined
        const value = freshPassword()
        await tables
          .updateTable('registry_passwords')
          .set({ sealed: sealed(registry.id, password, value), created_at: timestamp(clock) })
          .where('registry_id', '=', registry.id)
          .where('name', '=', password)
          .execute()
        return value
      })
    },
  }
}

const passwordNames: readonly PasswordName[] = ['password', 'password2']

/** 256 bits in letters that need no quoting in a shell or a URL. */
const freshPassword = () => randomBytes(32).toString('base64url').replaceAll('-', 'x').replaceAll('_', 'y')

const context = (registryId: number, password: PasswordName) => `registry_passwords/${registryId}/${password}`

interface Row {
  name: string
  sku: string
  admin_user_enabled: number
  anonymous_pull_enabled: number
  sparse_manifests_enabled: number
}

function recordOf(row: Row): RegistryRecord {
  return {
    name: row.name,
    sku: row.sku as Sku,
    adminUserEnabled: row.admin_user_enabled === 1,
    anonymousPullEnabled: row.anonymous_pull_enabled === 1,
    sparseManifestsEnabled: row.sparse_manifests_enabled === 1,
  }
}

function rowOf(settings: RegistrySettings): Omit<Row, 'name'>
function rowOf(settings: Partial<RegistrySettings>): Partial<Omit<Row, 'name'>>
function rowOf(settings: Partial<RegistrySettings>): Partial<Omit<Row, 'name'>> {
  const { sku, adminUserEnabled, anonymousPullEnabled, sparseManifestsEnabled } = settings
  return {
    ...(sku === undefined ? {} : { sku }),
    ...(adminUserEnabled === undefined ? {} : { admin_user_enabled: Number(adminUserEnabled) }),
    ...(anonymousPullEnabled === undefined ? {} : { anonymous_pull_enabled: Number(anonymousPullEnabled) }),
    ...(sparseManifestsEnabled === undefined ? {} : { sparse_manifests_enabled: Number(sparseManifestsEnabled) }),
  }
}
