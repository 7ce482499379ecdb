"""Journey 2: a queued message becomes a sent mail.

1. `request`      the message is read and checked against the contract
2. `deliver`      the delivery is claimed, so that nobody else sends it
3. `consent/`     gives an access token
4. `attachments`  are fetched, `payload` is built, `route` says how it travels
5. `adapters/`    hand it to Microsoft Graph
6. `verdict`      turns what happened into what to do
7. `deliveries/`  keeps the outcome, and only then is the message completed
"""
