import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { openTestDatabase } from '../../../test/database.ts'
import type { Database } from '../../backends/db/database.ts'
import { manualClock } from '../../base/clock.ts'
import { sealerOf } from '../../base/seal.ts'
import { type Founding, foundFirstTenant } from './founding.ts'
import { createRegistries, type Registries } from './registries.ts'
import { hashSecret } from './secret-hash.ts'

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

describe('founding', () => {
  let db: Database
  let registries: Registries
  const clock = manualClock()
  beforeEach(async () => {
    db = await openTestDatabase({ clock })
    registries = createRegistries(db, sealerOf(randomBytes(32)), clock)
  })
  afterEach(() => db.dispose())

  const found = (announce: (founding: Founding) => Promise<void> = async () => undefined) =>
    foundFirstTenant(db, registries, clock, announce)

  test('makes tenant, subscription, resource group, operator and registry, with all that a user needs', async () => {
    const founding = await found()
    assert.ok(founding)
    for (const id of [founding.tenantId, founding.subscriptionId, founding.clientId]) assert.match(id, guid)
    const [password] = await registries.listPasswords('berth')
    assert.deepEqual(founding.registry, { name: 'berth', username: 'berth', password: password?.value })
    assert.equal((await registries.findRegistry('berth'))?.adminUserEnabled, true)
    assert.equal((await registries.findRegistry('berth'))?.anonymousPullEnabled, false)
    await db.read(async (tables) => {
      assert.deepEqual(
        (await tables.selectFrom('tenants').select('id').execute()).map(({ id }) => id),
        [founding.tenantId],
      )
      const [subscription] = await tables.selectFrom('subscriptions').selectAll().execute()
      assert.deepEqual([subscription?.id, subscription?.tenant_id], [founding.subscriptionId, founding.tenantId])
      const [group] = await tables.selectFrom('resource_groups').selectAll().execute()
      assert.deepEqual([group?.name, group?.subscription_id], [founding.resourceGroup, founding.subscriptionId])
      const [operator] = await tables.selectFrom('service_principals').selectAll().execute()
      assert.equal(operator?.client_id, founding.clientId)
      assert.match(operator?.secret_hash ?? '', /^scrypt\$[\w-]{22}\$[\w-]{43}$/)
      assert.ok(!JSON.stringify(operator).includes(founding.clientSecret))
    })
  })

  test('happens once', async () => {
    await found()
    const passwords = await registries.listPasswords('berth')
    assert.equal(await found(), undefined)
    assert.deepEqual(await registries.listPasswords('berth'), passwords)
  })

  test('broken off before its secrets are kept, begins anew at the next start', async () => {
    const lost = async () => {
      throw new Error('disk full')
    }
    await assert.rejects(found(lost), /disk full/)
    const announced: Founding[] = []
    const founding = await found(async (kept) => void announced.push(kept))
    assert.deepEqual(announced, [founding])
    assert.equal(founding?.registry.password, (await registries.listPasswords('berth'))[0]?.value)
  })
})

describe('secret hash', () => {
  test('is another one each time, and does not hold the secret', async () => {
    const [one, two] = [await hashSecret('secret'), await hashSecret('secret')]
    assert.notEqual(one, two)
    assert.ok(!one.includes('secret'))
  })
})
