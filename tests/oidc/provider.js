// An identity provider on $PORT: oidc-provider, which lets in whoever names themselves. $SETTINGS has its clients and lifetimes as JSON.
// At each line of its input it signs with a new key, those before stay among the ones that it tells of; it ends with its input.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import Provider from 'oidc-provider';

const { clients, lifetimes } = JSON.parse(process.env.SETTINGS);
const issuer = `http://localhost:${process.env.PORT}`;
const keys = [];
const kept = new Map();

// What is kept outlives the provider that a new key makes anew.
class Kept {
  constructor(model) { this.model = model; }
  key(id) { return `${this.model}:${id}`; }
  all() { return [...kept].filter(([key]) => key.startsWith(`${this.model}:`)).map(([, payload]) => payload); }
  async upsert(id, payload) { kept.set(this.key(id), payload); }
  async find(id) { return kept.get(this.key(id)); }
  async findByUid(uid) { return this.all().find((payload) => payload.uid === uid); }
  async findByUserCode(code) { return this.all().find((payload) => payload.userCode === code); }
  async consume(id) { kept.get(this.key(id)).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { kept.delete(this.key(id)); }
  async revokeByGrantId(grantId) {
    for (const [key, payload] of kept) if (payload.grantId === grantId) kept.delete(key);
  }
}

async function grantOf({ oidc }) {
  const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
  grant.addOIDCScope('openid profile');
  await grant.save();
  return grant;
}

function withNewKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  keys.unshift({ ...privateKey.export({ format: 'jwk' }), kid: `key-${keys.length + 1}`, alg: 'ES256', use: 'sig' });
  return new Provider(issuer, {
    adapter: Kept,
    claims: { openid: ['sub'], profile: ['name', 'groups'] },
    clients: clients.map((client) => ({ id_token_signed_response_alg: 'ES256', ...client })),
    conformIdTokenClaims: false,
    cookies: { keys: ['a key of its cookies'] },
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => { ctx.body = `${form}<button type="submit" form="op.logoutForm" name="logout" value="yes">Sign out of everything</button>`; },
      },
    },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: `${id} of the provider`, groups: [`ledger-${id}`] }) }),
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    issueRefreshToken: () => true,
    jwks: { keys },
    loadExistingGrant: grantOf,
    pkce: { required: () => true },
    rotateRefreshToken: true,
    ttl: { Grant: 3600, Interaction: 600, RefreshToken: 3600, Session: 3600, ...lifetimes },
  });
}

let provider = withNewKey();
createInterface(process.stdin).on('line', () => { provider = withNewKey(); }).on('close', () => process.exit());

createServer(async (request, response) => {
  const url = new URL(request.url, issuer);
  if (!url.pathname.startsWith('/interaction/')) return provider.callback()(request, response);
  if (url.searchParams.has('login')) {
    const result = { login: { accountId: url.searchParams.get('login') } };
    return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  }
  response.setHeader('content-type', 'text/html');
  return response.end('<form><label>Login <input name="login" autofocus></label><button>Continue</button></form>');
}).listen(Number(process.env.PORT), '127.0.0.1', () => console.log('ready'));
