"""Send the mail of a queued message.

1. `request`      parses the message and validates it
2. `deliver`      claims the delivery, so that no other worker sends it
3. `consent/`     gives an access token
4. `attachments`  looks up the files, `payload` builds the message, `route` chooses the calls of Graph
5. `adapters/`    send it to Microsoft Graph
6. `verdict`      decides how to continue after an error
7. `deliveries/`  stores the outcome; only then is the message completed
"""
