// The one socket of the page, and what a reader must know of it: whether the page is live, and if not since when.
import { Connection } from '@gql-server/client';
import { reactiveState } from '@gql-server/client/vue';

import { authorization, config, expiresSoon, renew } from '../session';

export const link = new Connection({
  url: config.subscriptionUrl,
  renew,
  authorization: async () => {
    if (expiresSoon()) await renew();
    return authorization();
  },
});
export const { state: connection } = reactiveState(link);
