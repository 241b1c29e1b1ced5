/** The first tenant of an empty installation, with everything that a user needs to begin. */
import { randomBytes, randomUUID } from 'node:crypto'
import type { Database } from '../../backends/db/database.ts'
import type { Clock } from '../../base/clock.ts'
import { firstRegistry } from '../../base/host-names.ts'
import { timestamp } from '../../base/timestamp.ts'
import type { Registries } from './registries.ts'
import { hashSecret } from './secret-hash.ts'

export interface Founding {
  readonly tenantId: string
  readonly subscriptionId: string
  readonly resourceGroup: string
  /** The operator, a service principal that owns the subscription; its secret is known here and nowhere else. */
  readonly clientId: string
  readonly clientSecret: string
  readonly registry: { readonly name: string; readonly username: string; readonly password: string }
}

const firstGroup = 'default'
const firstLocation = 'local'

/**
 * Makes tenant, subscription, resource group, operator and registry, once: undefined when there is a tenant already.
 * announce: keeps the secrets that are shown only here; until it has resolved, nothing is founded, and a start that dies
 * before begins anew. tenantId: what a start that died has announced. Where several servers may start at once, only one of
 * them may be in here.
 * The registry accepts sparse manifests, as a place to try things; those made later do not, as in ACR.
 */
export async function foundFirstTenant(
  db: Database,
  registries: Registries,
  clock: Clock,
  announce: (founding: Founding) => Promise<void>,
  tenantId: string = randomUUID(),
): Promise<Founding | undefined> {
  if (await hasTenant(db)) return undefined
  const [subscriptionId, clientId] = [randomUUID(), randomUUID()]
  const clientSecret = randomBytes(32).toString('base64url')
  const secretHash = await hashSecret(clientSecret)
  await registries.createRegistry(firstRegistry, {
    sku: 'Premium',
    adminUserEnabled: true,
    anonymousPullEnabled: false,
    sparseManifestsEnabled: true,
  })
  const password = (await registries.listPasswords(firstRegistry)).find(({ name }) => name === 'password')
  if (password === undefined) throw new Error(`the registry ${firstRegistry} has no password`)
  const founding = {
    tenantId,
    subscriptionId,
    resourceGroup: firstGroup,
    clientId,
    clientSecret,
    registry: { name: firstRegistry, username: firstRegistry, password: password.value },
  }
  await announce(founding)
  await db.write(async (tables) => {
    const other = await tables.selectFrom('tenants').select('id').executeTakeFirst()
    if (other !== undefined) throw new Error('another server has founded this database meanwhile; start again')
    const created_at = timestamp(clock)
    const tenant_id = tenantId
    const subscription_id = subscriptionId
    await tables.insertInto('tenants').values({ id: tenantId, created_at }).execute()
    await tables
      .insertInto('subscriptions')
      .values({ id: subscriptionId, tenant_id, display_name: 'Berth', created_at })
      .execute()
    await tables
      .insertInto('resource_groups')
      .values({ subscription_id, name: firstGroup, location: firstLocation, created_at })
      .execute()
    await tables
      .insertInto('service_principals')
      .values({ client_id: clientId, tenant_id, display_name: 'operator', secret_hash: secretHash, created_at })
      .execute()
  })
  return founding
}

/** Whether nothing was ever kept in it, so that no secret can be sealed with a key that is lost. */
export async function isUnused(db: Database): Promise<boolean> {
  return db.read(async (tables) => {
    for (const table of ['tenants', 'registries', 'signing_keys'] as const) {
      if ((await tables.selectFrom(table).select('created_at').limit(1).execute()).length > 0) return false
    }
    return true
  })
}

export async function isTenant(db: Database, id: string): Promise<boolean> {
  const row = await db.read((tables) =>
    tables.selectFrom('tenants').where('id', '=', id).select('id').executeTakeFirst(),
  )
  return row !== undefined
}

async function hasTenant(db: Database): Promise<boolean> {
  return (await db.read((tables) => tables.selectFrom('tenants').select('id').executeTakeFirst())) !== undefined
}
